/**
 * Adding a job takes two groups: its id is reserved in the mesh group, so that it is unique over all pools, and the
 * job itself is added in its pool's group. Nothing commits in both at once, so either may be left alone by a crash.
 *
 * A reservation without a job (its maker died, or the job was deleted since) must not hold the id for ever: whoever
 * wants the id and finds that the pool's group has no such job takes the reservation over. The maker may only be slow
 * though, and add its job after all. Two checks close that gap:
 *   - the maker reads the directory again after it added the job, and takes the job back if the id is no longer its own;
 *   - who took over looks for the maker's job again after the directory changed, and gives the id back if it is there.
 * Both reads are linearizable. If the maker's job was there before the take-over, the second check sees it; if it came
 * after, the first check sees the take-over. So one id never ends up in two pools with both adds answered 201.
 */
import { ShoalError } from '../lib/errors.ts';
import type { EntityStamp, Outcome } from '../model/commands.ts';
import { idKey, MESH_GROUP, poolGroup } from '../model/ids.ts';
import type { JobSpec } from '../model/job.ts';
import { refusal, unwrap } from '../model/outcome.ts';
import type { ApiContext } from './context.ts';
import type { Call } from './route.ts';

/** Rejects with `JobExists`, or what the groups refuse the job for; a refused job leaves no reservation that matters. */
export async function addJob(
  context: ApiContext,
  call: Call,
  spec: JobSpec,
  pool: string,
): Promise<EntityStamp> {
  const adding = new JobAdding(context, call, spec, pool);
  return adding.run();
}

class JobAdding {
  readonly #context: ApiContext;
  readonly #call: Call;
  readonly #spec: JobSpec;
  readonly #pool: string;

  constructor(context: ApiContext, call: Call, spec: JobSpec, pool: string) {
    this.#context = context;
    this.#call = call;
    this.#spec = spec;
    this.#pool = pool;
  }

  async run(): Promise<EntityStamp> {
    const reserved = await this.#reserve('job.reserve', undefined);
    if (!reserved.ok) await this.#takeOver(reserved);
    const stamp = await this.#add();
    await this.#confirm();
    this.#context.jobs.remember(this.#spec.id, this.#pool);
    return stamp;
  }

  async #reserve(purpose: string, replaces: string | undefined): Promise<Outcome<EntityStamp>> {
    const { control } = this.#context;
    const voters = await control.proposeVoters();
    return control.propose(
      MESH_GROUP,
      {
        kind: 'job.reserve',
        job: this.#spec.id,
        pool: this.#pool,
        voters,
        ...(replaces !== undefined && { replaces }),
      },
      this.#call.commandOptions(purpose),
    );
  }

  async #takeOver(refused: Outcome<EntityStamp> & { readonly ok: false }): Promise<void> {
    if (refused.code !== 'JobExists') throw refusal(refused);
    const holder = await this.#locate();
    // Ours by now: this request was sent before, and had its refusal before it took the id over.
    if (holder !== undefined && idKey(holder) === idKey(this.#pool)) return;
    if (holder !== undefined && (await this.#isIn(holder))) throw refusal(refused);
    unwrap(await this.#reserve('job.takeOver', holder));
    if (holder === undefined || !(await this.#isIn(holder))) return;
    await this.#giveBack(holder);
    throw refusal(refused);
  }

  async #giveBack(holder: string): Promise<void> {
    const { control } = this.#context;
    const voters = await control.proposeVoters();
    const command = {
      kind: 'job.reserve',
      job: this.#spec.id,
      pool: holder,
      voters,
      replaces: this.#pool,
    } as const;
    await control.propose(MESH_GROUP, command, this.#call.commandOptions('job.giveBack'));
  }

  async #add(): Promise<EntityStamp> {
    const { control } = this.#context;
    const command = { kind: 'job.add', spec: this.#spec } as const;
    return unwrap(
      await control.propose(poolGroup(this.#pool), command, this.#call.commandOptions('job.add')),
    );
  }

  async #confirm(): Promise<void> {
    const holder = await this.#locate();
    if (holder !== undefined && idKey(holder) === idKey(this.#pool)) return;
    const { control } = this.#context;
    const command = { kind: 'job.delete', job: this.#spec.id } as const;
    await control.propose(poolGroup(this.#pool), command, this.#call.commandOptions('job.takeBack'));
    throw new ShoalError('JobExists');
  }

  #locate(): Promise<string | undefined> {
    return this.#context.control.query(
      MESH_GROUP,
      'job.locate',
      { job: this.#spec.id },
      this.#call.options(),
    );
  }

  async #isIn(pool: string): Promise<boolean> {
    try {
      const job = await this.#context.control.query(
        poolGroup(pool),
        'job.get',
        { job: this.#spec.id },
        this.#call.options(),
      );
      if (job.state === 'deleting') throw new ShoalError('JobBeingDeleted', undefined, { Pool: pool });
      return true;
    } catch (thrown) {
      if (thrown instanceof ShoalError && thrown.code === 'JobNotFound') return false;
      throw thrown;
    }
  }
}
