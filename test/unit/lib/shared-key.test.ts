import { describe, expect, test } from 'vitest';
import { isSignedBy, readPresentedKey } from '../../../src/api/shared-key.ts';
import { authorization, stringToSign } from '../../../src/lib/shared-key.ts';

const DATE = 'Sat, 21 Nov 2026 04:26:00 GMT';

describe('the text that is signed', () => {
  test('has eleven headers, then those of ocp, then account, path and sorted query', () => {
    const headers = {
      'content-length': '12',
      'content-type': 'application/json',
      'if-match': '*',
      'ocp-range': 'bytes=0-9',
      'ocp-date': DATE,
      'shoal-request-id': 'not signed',
    };
    const target =
      '/jobs/j/tasks/t/files/wd%2Fa%20b%2Bc.txt?timeout=30&api-version=1&%24filter=a%20eq%20%27b%27';
    expect(stringToSign({ method: 'PUT', url: target, headers }, 'acme')).toBe(
      [
        'PUT',
        '',
        '',
        '12',
        '',
        'application/json',
        '',
        '',
        '*',
        '',
        '',
        '',
        `ocp-date:${DATE}`,
        'ocp-range:bytes=0-9',
        '/acme/jobs/j/tasks/t/files/wd%2Fa%20b%2Bc.txt',
        "$filter:a eq 'b'",
        'api-version:1',
        'timeout:30',
      ].join('\n'),
    );
  });
});

describe('a signature', () => {
  const key = Buffer.alloc(64, 7).toString('base64');
  const credentials = { account: 'acme', key };

  test('equals the one computed by hand with openssl', () => {
    const parts = {
      method: 'GET',
      url: '/pools?api-version=2022-10-01.16.0',
      headers: { 'ocp-date': DATE },
    };
    expect(authorization(credentials, parts)).toBe(
      'SharedKey acme:qg58ARXkg5YtgT0u1QV5wLJ3jowWoPMP8bNhixRA3ps=',
    );
  });

  test.each([
    ['GET', '/jobs?api-version=2022-10-01.16.0&$skiptoken=abc', {}],
    [
      'POST',
      '/jobs?api-version=2022-10-01.16.0',
      { 'content-length': '7', 'content-type': 'application/json' },
    ],
    ['DELETE', '/shoal/v1/machines/12D3%2F7?timeout=5', {}],
    ['PUT', '/shoal/v1/containers/c/blobs/%C3%A4/b?create=true', { 'content-length': '0' }],
  ])('of %s %s is accepted by the API', (method, target, more) => {
    const headers = { ...more, 'ocp-date': DATE };
    const request = { method, url: target, headers: { ...headers, authorization: '' } };
    request.headers.authorization = authorization(credentials, { method, url: target, headers });
    const presented = readPresentedKey(request, Date.parse(DATE));
    expect(isSignedBy(request, presented, { name: 'acme', key })).toBe(true);
  });
});
