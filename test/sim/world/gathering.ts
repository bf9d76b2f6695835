/** How a mesh comes to be: one machine founds it, the others join under tokens, as the agent's `init` and `join` do. */
import { MESH_GROUP } from '../../../src/model/ids.ts';
import type { Course } from './course.ts';
import type { Requests } from './requests.ts';
import type { SimMachine } from './sim-machine.ts';

const JOIN_MS_MAX = 20_000;
/** Further apart than any two wall clocks of a world. */
const TOKEN_VALID_MS = 3_600_000;

/** Resolves when all machines are members. They learn to follow the mesh group, and get their nodes, in the moments after that. */
export async function gather(
  machines: readonly SimMachine[],
  { course, requests }: { readonly course: Course; readonly requests: Requests },
): Promise<void> {
  const [first, ...others] = machines;
  if (first === undefined) return;
  first.found();
  const founded = (): boolean => first.life?.coordinator.mesh?.settings() !== undefined;
  await course.until({ rule: 'L1', what: 'the mesh is founded', boundMs: JOIN_MS_MAX }, founded);
  const joins = others.map((machine) => join(machine, requests));
  await course.awaiting('the machines join', JOIN_MS_MAX, Promise.all(joins));
}

/** As a member lets a joiner in: a token for it, then its registration under the token's identity. */
export async function join(joiner: SimMachine, requests: Requests): Promise<void> {
  const tokenPeer = `token-${joiner.name}`;
  const token = await requests.command(MESH_GROUP, (life) => ({
    kind: 'token.create',
    id: tokenPeer,
    peer: tokenPeer,
    expiresAtMs: life.clock.wallMs() + TOKEN_VALID_MS,
    uses: 1,
    createdBy: life.machine,
  }));
  if (!token.ok) throw new Error(`no token: ${token.code} ${token.message}`);
  const joined = await requests.command(MESH_GROUP, () => ({
    kind: 'machine.join',
    tokenPeer,
    machine: joiner.offer,
  }));
  if (!joined.ok) throw new Error(`not joined: ${joined.code} ${joined.message}`);
  const members = await requests.query(MESH_GROUP, 'machine.list', {});
  const others = members.filter(({ peer }) => peer !== joiner.name);
  joiner.members = new Map(others.map(({ peer, addresses }) => [peer, addresses[0] ?? '']));
  joiner.start();
}
