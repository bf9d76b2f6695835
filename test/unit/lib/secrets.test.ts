import { expect, test } from 'vitest';
import { issueBearerToken } from '../../../src/lib/bearer-token.ts';
import { withoutSecrets } from '../../../src/lib/secrets.ts';

test('a text for a log or an error keeps no signature, key or token, and everything else', () => {
  const token = issueBearerToken(
    { account: 'shoal', scope: { kind: 'account' }, expiresAtMs: 1 },
    Buffer.from('secret').toString('base64'),
  );
  const secrets = [
    's1gn%2Bature%3D',
    'c2lnbmVkIGFzIGl0IGlz=',
    token,
    'shoal1.qGFiY2RlZmdoaWprbG1ub3A',
    'azE=',
  ];
  const line = JSON.stringify({
    url: `https://x.blob.core.windows.net/c?sv=2022&sig=${secrets[0]}&sp=w`,
    authorization: `SharedKey shoal:${secrets[1]}`,
    bearer: `Bearer ${token}`,
    environment: `AZ_BATCH_AUTHENTICATION_TOKEN=${token}`,
    joined: `with ${secrets[3]}`,
    connection: `AccountName=a;AccountKey=${secrets[4]};EndpointSuffix=core.windows.net`,
  });
  const masked = withoutSecrets(line);
  for (const secret of secrets) expect(masked).not.toContain(secret);
  expect(JSON.parse(masked)).toMatchObject({
    url: 'https://x.blob.core.windows.net/c?sv=2022&sig=***&sp=w',
    connection: 'AccountName=a;AccountKey=***;EndpointSuffix=core.windows.net',
  });
  expect(withoutSecrets('{"msg":"nothing to hide: shoal_x, design=1"}')).toBe(
    '{"msg":"nothing to hide: shoal_x, design=1"}',
  );
});
