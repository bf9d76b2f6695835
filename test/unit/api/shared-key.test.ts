import { describe, expect, test } from 'vitest';
import { ReplayGuard } from '../../../src/api/replay.ts';
import { isSignedBy, readPresentedKey } from '../../../src/api/shared-key.ts';
import { ShoalError } from '../../../src/lib/errors.ts';
import { SHARED_KEY_REUSE_MS, SHARED_KEY_SKEW_MS } from '../../../src/lib/limits.ts';
import { type SignedRequest, sign, stringToSign } from '../../../src/lib/shared-key.ts';

/** Bytes 0 to 63. */
const KEY = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==';
const DATE = 'Sat, 21 Nov 2026 04:26:00 GMT';
const NOW_MS = Date.parse(DATE);
const account = { name: 'shoal', key: KEY };

/** Signatures made with Python's hmac from strings to sign written by hand. */
const VECTORS: readonly (readonly [string, SignedRequest, string])[] = [
  [
    'a list: query names sorted, values decoded',
    {
      method: 'GET',
      url: '/jobs?timeout=30&maxresults=10&api-version=2022-10-01.16.0&$filter=state%20eq%20%27active%27',
      headers: { 'ocp-date': DATE },
    },
    '9klPzZmCbw1crDhqeTvLpBMnfgnGTcFIVmLIfrNEcI8=',
  ],
  [
    'a body and a condition',
    {
      method: 'POST',
      url: '/jobs/job-1/tasks?api-version=2022-10-01.16.0',
      headers: {
        'ocp-date': DATE,
        'content-length': '57',
        'content-type': 'application/json; odata=minimalmetadata; charset=utf-8',
        'if-match': '0x8D',
      },
    },
    'YVCh8IcycKqwSSPthF0yvHlub25cPpZUSocSTXyTol0=',
  ],
  [
    'a file: the path stays as it was sent, other ocp headers count',
    {
      method: 'GET',
      url: '/jobs/job-1/tasks/t/files/wd%2Fa%20b%2Bc%23%C3%A9.txt?api-version=2022-10-01.16.0',
      headers: { 'ocp-range': 'bytes=0-9', 'ocp-date': DATE },
    },
    'a5i9U3zUp8jEu+wXb+NXvewp6KJzByu15S22RDpXhw0=',
  ],
  [
    'Date in place of ocp-date, a length of 0 that was sent',
    {
      method: 'DELETE',
      url: '/pools/p?api-version=2022-10-01.16.0',
      headers: { date: DATE, 'content-length': '0' },
    },
    'QhPzORZ8ouOziVS4MhmZvvARK/i/6jiT+cBin3PjKIA=',
  ],
];

function signed(request: SignedRequest, signature: string): SignedRequest {
  return { ...request, headers: { ...request.headers, authorization: `SharedKey shoal:${signature}` } };
}

function accepts(request: SignedRequest, nowMs = NOW_MS): boolean {
  return isSignedBy(request, readPresentedKey(request, nowMs), account);
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (thrown) {
    return thrown instanceof ShoalError ? thrown.code : String(thrown);
  }
}

describe('SharedKey', () => {
  test.each(VECTORS)('%s', (_what, request, signature) => {
    expect(sign(stringToSign(request, 'shoal'), KEY)).toBe(signature);
    expect(accepts(signed(request, signature))).toBe(true);
  });

  test.each(VECTORS)('of %s holds for nothing else', (_what, request, signature) => {
    const good = signed(request, signature);
    expect(accepts({ ...good, method: 'PATCH' })).toBe(false);
    expect(accepts({ ...good, url: good.url.replace('/', '/x') })).toBe(false);
    expect(accepts({ ...good, url: `${good.url}&force=true` })).toBe(false);
    expect(accepts({ ...good, headers: { ...good.headers, 'if-match': '*' } })).toBe(false);
    expect(accepts({ ...good, headers: { ...good.headers, 'ocp-other': '1' } })).toBe(false);
    expect(isSignedBy(good, readPresentedKey(good, NOW_MS), { ...account, key: 'AAAA' })).toBe(false);
  });

  test('names the account it is for', () => {
    const [, request] = VECTORS[0] ?? [];
    if (request === undefined) throw new Error('no vector');
    const signature = sign(stringToSign(request, 'other'), KEY);
    const other = {
      ...request,
      headers: { ...request.headers, authorization: `SharedKey other:${signature}` },
    };
    expect(accepts(other)).toBe(false);
  });

  test('is good for 15 minutes either way and not a second longer', () => {
    const [, request, signature] = VECTORS[0] ?? [];
    if (request === undefined || signature === undefined) throw new Error('no vector');
    const good = signed(request, signature);
    expect(accepts(good, NOW_MS + SHARED_KEY_SKEW_MS)).toBe(true);
    expect(accepts(good, NOW_MS - SHARED_KEY_SKEW_MS)).toBe(true);
    expect(codeOf(() => accepts(good, NOW_MS + SHARED_KEY_SKEW_MS + 1_000))).toBe('AuthenticationFailed');
    expect(codeOf(() => accepts(good, NOW_MS - SHARED_KEY_SKEW_MS - 1_000))).toBe('AuthenticationFailed');
  });

  test.each([
    [undefined, 'AuthenticationFailed'],
    ['Bearer abc', 'AuthenticationFailed'],
    ['SharedKey shoal', 'InvalidAuthenticationInfo'],
    ['SharedKey shoal:', 'InvalidAuthenticationInfo'],
    ['SharedKey shoal:not-base64!', 'InvalidAuthenticationInfo'],
    [`SharedKey ${'x'.repeat(65)}:${'A'.repeat(43)}=`, 'InvalidAuthenticationInfo'],
  ])('Authorization %s answers %s', (authorization, code) => {
    const headers = { 'ocp-date': DATE, ...(authorization !== undefined && { authorization }) };
    expect(codeOf(() => readPresentedKey({ method: 'GET', url: '/', headers }, NOW_MS))).toBe(code);
  });

  test.each([
    [undefined, 'AuthenticationFailed'],
    ['yesterday', 'InvalidAuthenticationInfo'],
  ])('a date of %s answers %s', (date, code) => {
    const headers = {
      authorization: `SharedKey shoal:${'A'.repeat(43)}=`,
      ...(date !== undefined && { 'ocp-date': date }),
    };
    expect(codeOf(() => readPresentedKey({ method: 'GET', url: '/', headers }, NOW_MS))).toBe(code);
  });
});

describe('replay', () => {
  test('a signature is good again for a few seconds, since a second may hold two equal requests', () => {
    const guard = new ReplayGuard();
    expect(guard.isReplay('a', NOW_MS, NOW_MS)).toBe(false);
    guard.remember('a', NOW_MS, NOW_MS);
    expect(guard.isReplay('a', NOW_MS, NOW_MS + SHARED_KEY_REUSE_MS)).toBe(false);
    guard.remember('a', NOW_MS, NOW_MS + SHARED_KEY_REUSE_MS);
    expect(guard.isReplay('a', NOW_MS, NOW_MS + SHARED_KEY_REUSE_MS + 1)).toBe(true);
    expect(guard.isReplay('a', NOW_MS, NOW_MS + 2 * SHARED_KEY_SKEW_MS)).toBe(true);
    expect(guard.isReplay('b', NOW_MS, NOW_MS + SHARED_KEY_REUSE_MS + 1)).toBe(false);
  });

  test('what had to be forgotten for want of room counts as used', () => {
    const guard = new ReplayGuard(2);
    for (const [index, signature] of ['a', 'b', 'c'].entries()) {
      guard.remember(signature, NOW_MS + index * 1_000, NOW_MS + index * 1_000);
    }
    const later = NOW_MS + 60_000;
    expect(guard.isReplay('a', NOW_MS, later)).toBe(true);
    expect(guard.isReplay('b', NOW_MS + 1_000, later)).toBe(true);
    expect(guard.isReplay('new', later, later)).toBe(false);
  });

  test('what is too old to pass the date check is forgotten without a trace', () => {
    const guard = new ReplayGuard();
    guard.remember('a', NOW_MS, NOW_MS);
    guard.remember('b', NOW_MS, NOW_MS + 2 * SHARED_KEY_SKEW_MS + 1);
    expect(guard.isReplay('a', NOW_MS, NOW_MS)).toBe(false);
  });
});
