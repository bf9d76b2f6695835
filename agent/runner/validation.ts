import { ShoalError } from '../../src/lib/errors.ts';
import type { ContainerLaunch, ExecutionKey, Launch, NodeSetup } from './interface.ts';
import type { ToRunner } from './protocol.ts';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Checks a message before the runner acts on it. The socket is private, so its sender is no stranger, but it
 * may be of another version or broken, and the runner must not fall over it: all tasks of the machine would
 * fall with it.
 *
 * @throws ShoalError InvalidRequestBody
 */
export function readMessage(raw: unknown): ToRunner {
  const message = fields(raw, 'message');
  switch (message.type) {
    case 'hello':
      check(isNumber(message.version), 'version');
      break;
    case 'configure':
      checkSetup(fields(message.setup, 'setup'));
      break;
    case 'removeNode':
      check(isString(message.node), 'node');
      break;
    case 'launch':
      for (const launch of list(message.launches, 'launches')) checkLaunch(fields(launch, 'launch'));
      break;
    case 'kill':
      checkKey(message.key);
      check(isNumber(message.graceMs), 'graceMs');
      break;
    case 'lease':
      check(isString(message.lease), 'lease');
      check(isNumber(message.fromMs) && isNumber(message.deadlineMs), 'deadlineMs');
      break;
    case 'acknowledge':
      for (const key of list(message.keys, 'keys')) checkKey(key);
      break;
    case 'ping':
    case 'shutdown':
      break;
    default:
      throw refuse('type');
  }
  return raw as ToRunner;
}

function checkKey(raw: unknown): void {
  const { pool, job, task, epoch } = fields(raw, 'key') as Partial<ExecutionKey>;
  check(isString(pool) && isNumber(job) && isNumber(task) && isNumber(epoch), 'key');
}

function checkSetup(raw: Fields): void {
  const setup = raw as Partial<NodeSetup>;
  check(isString(setup.node) && isString(setup.rootDirectory), 'setup');
  check(isCount(setup.slots), 'slots');
  check(
    isOptionalNumber(setup.uid) && isOptionalNumber(setup.gid) && isOptionalNumber(setup.memoryBytesMax),
    'setup',
  );
  checkEnvironment(setup.environment);
}

function checkLaunch(raw: Fields): void {
  const launch = raw as Partial<Launch>;
  checkKey(launch.key);
  check(isString(launch.node) && isString(launch.lease), 'launch');
  check(isCount(launch.slots) && isNumber(launch.priority), 'slots');
  check(list(launch.argv, 'argv').every(isString), 'argv');
  check(isString(launch.taskDirectory) && isString(launch.workingDirectory), 'directories');
  check(isOptionalNumber(launch.wallClockMsMax) && isNumber(launch.outputBytesMax), 'bounds');
  checkEnvironment(launch.environment);
  if (launch.container !== undefined) checkContainer(fields(launch.container, 'container'));
}

function checkContainer(raw: Fields): void {
  const { image, options, entersWorkingDirectory } = raw as Partial<ContainerLaunch>;
  check(isString(image) && list(options, 'options').every(isString), 'container');
  check(typeof entersWorkingDirectory === 'boolean', 'container');
  const { kind, program, user, isRootless, environment } = fields(raw.engine, 'engine');
  check(kind === 'podman' || kind === 'docker', 'engine');
  check(isString(program) && isString(user) && typeof isRootless === 'boolean', 'engine');
  checkEnvironment(environment);
}

function checkEnvironment(raw: unknown): void {
  check(Object.values(fields(raw, 'environment')).every(isString), 'environment');
}

function fields(raw: unknown, name: string): Fields {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) throw refuse(name);
  return raw as Fields;
}

function list(raw: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(raw)) throw refuse(name);
  return raw;
}

function isString(value: unknown): value is string {
  return typeof value === 'string';
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && !Number.isNaN(value);
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isOptionalNumber(value: unknown): boolean {
  return value === undefined || isNumber(value);
}

function check(holds: boolean, name: string): void {
  if (!holds) throw refuse(name);
}

function refuse(name: string): ShoalError {
  return new ShoalError('InvalidRequestBody', `A message to the runner has no valid ${name}.`);
}
