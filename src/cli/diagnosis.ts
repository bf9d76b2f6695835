/** What `shoal doctor` makes of what it found: one verdict a subject, each with a remedy. No IO. */
import type { ShoalError } from '../lib/errors.ts';
import { DOCTOR_CLOCK_SKEW_MS_MAX, DOCTOR_DISK_FREE_BYTES_MIN } from '../lib/limits.ts';
import type { LocalStatus } from '../model/control.ts';
import type { MachineEntity } from '../model/queries.ts';
import { age, bytes } from './cells.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';

export interface Facts {
  readonly nodeVersion: string;
  readonly where: string;
  /** The agent's answer, or why there is none. */
  readonly status: LocalStatus | ShoalError;
  /** The agent's wall clock minus ours. */
  readonly clockSkewMs?: number;
  readonly nowMs: number;
  /** All members, or why they could not be had: reading them needs the mesh's quorum. */
  readonly machines?: readonly MachineEntity[] | ShoalError;
  /** Of the data directory's file system; undefined for an agent on another machine. */
  readonly diskFreeBytes?: number;
  readonly dataDirectory?: string;
}

export interface Check {
  readonly check: string;
  readonly verdict: 'ok' | 'warning' | 'problem';
  readonly detail: string;
  readonly remedy?: string;
}

/** Oldest Node that the program runs on, as package.json has it. */
const NODE_MAJOR = 20;
const NODE_MINOR = 19;

export function diagnose(facts: Facts): readonly Check[] {
  const checks = [checkNode(facts.nodeVersion), checkAgent(facts)];
  const { dataDirectory = '' } = facts;
  if (facts.diskFreeBytes !== undefined)
    checks.push(checkDisk(facts.diskFreeBytes, dataDirectory), logOf(dataDirectory));
  const { status } = facts;
  if (status instanceof Error) return checks;
  checks.push(checkClock(facts, status), checkIsolation(status), ...checkQuorums(status));
  if (facts.machines !== undefined) checks.push(...checkMachines(facts.machines, status));
  return checks;
}

/** The exit code of the worst finding: a warning is none. */
export function exitCodeOfChecks(checks: readonly Check[], facts: Facts): number {
  if (facts.status instanceof Error) return exitCodeOf(facts.status);
  const problems = checks.filter((check) => check.verdict === 'problem');
  if (problems.length === 0) return EXIT.ok;
  return problems.some((check) => check.check.startsWith('quorum')) ? EXIT.timeout : EXIT.failed;
}

function checkNode(version: string): Check {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const fits = major > NODE_MAJOR || (major === NODE_MAJOR && minor >= NODE_MINOR);
  if (fits) return { check: 'node', verdict: 'ok', detail: `Node ${version}` };
  return {
    check: 'node',
    verdict: 'problem',
    detail: `Node ${version} is too old.`,
    remedy: `Install Node ${NODE_MAJOR}.${NODE_MINOR} or later.`,
  };
}

function checkAgent({ status, where }: Facts): Check {
  if (!(status instanceof Error)) {
    const { name, version, pid } = status.machine;
    return { check: 'agent', verdict: 'ok', detail: `${name}, version ${version}, process ${pid}` };
  }
  return {
    check: 'agent',
    verdict: 'problem',
    detail: status.message,
    remedy: status.hint ?? `See what the agent at ${where} has logged.`,
  };
}

function checkDisk(freeBytes: number, directory: string): Check {
  const detail = `${bytes(freeBytes)} free below ${directory}`;
  if (freeBytes >= DOCTOR_DISK_FREE_BYTES_MIN) return { check: 'disk', verdict: 'ok', detail };
  return {
    check: 'disk',
    verdict: freeBytes < DOCTOR_DISK_FREE_BYTES_MIN / 8 ? 'problem' : 'warning',
    detail,
    remedy:
      'Delete finished jobs (`shoal job delete`) and containers, or move the data directory with --data.',
  };
}

/** Nothing to check: whoever asks what is wrong wants to know where to read on. */
function logOf(directory: string): Check {
  return { check: 'log', verdict: 'ok', detail: `${directory}/private/logs/agent.log` };
}

function checkClock({ clockSkewMs, nowMs }: Facts, status: LocalStatus): Check {
  const remedy =
    'Let a time service (chrony, systemd-timesyncd) set the clock of this machine and of the agent.';
  if (clockSkewMs !== undefined && Math.abs(clockSkewMs) > DOCTOR_CLOCK_SKEW_MS_MAX) {
    const side = clockSkewMs > 0 ? 'ahead of' : 'behind';
    return {
      check: 'clock',
      verdict: 'problem',
      detail: `The agent's clock is ${age(clockSkewMs)} ${side} ours.`,
      remedy,
    };
  }
  if (status.machine.startedAtMs > nowMs + DOCTOR_CLOCK_SKEW_MS_MAX) {
    const detail = 'The clock was set back since the agent started.';
    return { check: 'clock', verdict: 'warning', detail, remedy };
  }
  const detail = clockSkewMs === undefined ? 'not compared' : 'agrees with the agent to a second';
  return { check: 'clock', verdict: 'ok', detail };
}

function checkIsolation(status: LocalStatus): Check {
  const { tier } = status.runner;
  if (tier !== 'scan') return { check: 'isolation', verdict: 'ok', detail: `tasks are held by ${tier}` };
  return {
    check: 'isolation',
    verdict: 'warning',
    detail: 'tasks are held by scanning processes: one that hides well can outlive its lease',
    remedy: 'Run the agent as root, or allow user namespaces or a delegated cgroup (systemd: Delegate=yes).',
  };
}

function checkQuorums(status: LocalStatus): readonly Check[] {
  return status.groups.map(({ group, leader, voters, role }) => {
    const check = `quorum of ${group}`;
    if (leader !== undefined) {
      return {
        check,
        verdict: 'ok',
        detail: `${voters.length} ${voters.length === 1 ? 'voter' : 'voters'}; this machine is ${role}`,
      };
    }
    return {
      check,
      verdict: 'problem',
      detail: `no coordinator is known among ${voters.length} voters`,
      remedy: `Start the machines that vote; if they are gone for good, see: shoal recover ${group}`,
    };
  });
}

function checkMachines(
  machines: readonly MachineEntity[] | ShoalError,
  status: LocalStatus,
): readonly Check[] {
  if (machines instanceof Error) {
    const remedy = machines.hint ?? 'See the quorum of the mesh group.';
    return [{ check: 'members', verdict: 'problem', detail: machines.message, remedy }];
  }
  const others = machines.filter((machine) => machine.id !== status.machine.id);
  const connected = new Set(status.connectedPeers);
  const cutOff = others.filter((machine) => machine.alive && !connected.has(machine.peer));
  const lost = others.filter((machine) => !machine.alive);
  const summary = `${others.length - cutOff.length - lost.length} of ${others.length} other machines are connected`;
  return [
    { check: 'members', verdict: 'ok', detail: summary },
    ...cutOff.map(
      (machine): Check => ({
        check: `connection to ${machine.name}`,
        verdict: 'problem',
        detail: `it is up, but not connected to this machine (${machine.addresses.join(', ')})`,
        remedy:
          'Open its port in the firewalls between, or give it an address that can be reached: --announce.',
      }),
    ),
    ...lost.map(
      (machine): Check => ({
        check: `machine ${machine.name}`,
        verdict: 'warning',
        detail: 'nobody hears from it',
        remedy: `Start its agent, or take it out: shoal machine remove ${machine.name}`,
      }),
    ),
  ];
}
