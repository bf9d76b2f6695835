/** Azure Batch's own JavaScript client, as its users make one, pointed at an agent. */
import { BatchServiceClient, BatchSharedKeyCredentials } from '@azure/batch';
import { expect } from 'vitest';
import type { LocalAgent } from '../../../scripts/local-mesh/local-mesh.ts';
import { unsupportedRoutes } from '../../../src/api/unsupported.ts';

export async function azureClient({ name, client }: LocalAgent): Promise<BatchServiceClient> {
  const { accountName, accountKey, url } = await client.mesh.account();
  if (url === null) throw new Error(`${name} does not listen on TCP`);
  return new BatchServiceClient(new BatchSharedKeyCredentials(accountName, accountKey), url);
}

/** The client hands on the service's own status and code. */
export async function expectError(asked: Promise<unknown>, statusCode: number, code: string): Promise<void> {
  await expect(asked).rejects.toMatchObject({ statusCode, code });
}

const unsupported = new Set(unsupportedRoutes().map(({ name }) => name));

/** Runs the operation's own claims where the mesh has it; where it has not, it must say so. */
export async function whereOffered(
  operation: string,
  ask: () => Promise<unknown>,
  claims: (answer: Promise<unknown>) => Promise<void> = async (answer) => void (await answer),
): Promise<void> {
  // The answer to HEAD has no body that could tell the code.
  if (unsupported.has(operation)) await expect(ask()).rejects.toMatchObject({ statusCode: 400 });
  else await claims(ask());
}
