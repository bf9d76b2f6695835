import { beforeEach, describe, expect, test } from 'vitest';
import { ApiFixture } from './api-fixture.ts';

const FORMULA = '$TargetDedicatedNodes = min(10, $PendingTasks); $NodeDeallocationOption = taskcompletion;';

let api: ApiFixture;
beforeEach(() => {
  api = new ApiFixture();
});

/** A pool that is sized by a formula, of one node that came before. */
async function withFormula(more: object = {}): Promise<void> {
  await api.withNode();
  const enabled = await api.ask('POST', '/pools/p/enableautoscale', {
    json: { autoScaleFormula: FORMULA, ...more },
  });
  expect(enabled.status).toBe(200);
}

const evaluate = (autoScaleFormula: string) =>
  api.ask('POST', '/pools/p/evaluateautoscale', { json: { autoScaleFormula } });

describe('a pool', () => {
  test('is added with a formula, and told with it', async () => {
    const added = await api.ask('POST', '/pools', {
      json: {
        id: 'p',
        vmSize: 'machine',
        enableAutoScale: true,
        autoScaleFormula: FORMULA,
        autoScaleEvaluationInterval: 'PT6M',
      },
    });
    expect(added.status).toBe(201);
    const { body } = await api.ask('GET', '/pools/p');
    expect(body).toMatchObject({
      enableAutoScale: true,
      autoScaleFormula: FORMULA,
      autoScaleEvaluationInterval: 'PT6M',
      targetDedicatedNodes: 0,
    });
    expect(body).not.toHaveProperty('autoScaleRun');
  });

  test('has none of it where it is sized by hand', async () => {
    await api.withNode();
    const { body } = await api.ask('GET', '/pools/p');
    expect(body.enableAutoScale).toBe(false);
    expect(body).not.toHaveProperty('autoScaleFormula');
  });

  test('is sized by a formula or by targets, not by both', async () => {
    const both = { id: 'p', vmSize: 'machine', enableAutoScale: true, autoScaleFormula: FORMULA };
    const answer = await api.ask('POST', '/pools', { json: { ...both, targetDedicatedNodes: 1 } });
    expect(answer).toMatchObject({ status: 400, body: { code: 'InvalidAutoScalingSettings' } });
  });

  test('is found by whether it is', async () => {
    await withFormula();
    const ids = async (filter: string): Promise<string[]> =>
      (await api.ask('GET', `/pools?$filter=${encodeURIComponent(filter)}`)).body.value.map(
        ({ id }: { id: string }) => id,
      );
    expect(await ids('enableAutoScale eq true')).toEqual(['p']);
    expect(await ids('enableAutoScale eq false')).not.toContain('p');
  });
});

describe('enableautoscale', () => {
  test('answers with the new version', async () => {
    await api.withNode();
    const before = await api.ask('GET', '/pools/p');
    const answer = await api.ask('POST', '/pools/p/enableautoscale', { json: { autoScaleFormula: FORMULA } });
    expect([answer.status, answer.text]).toEqual([200, '']);
    expect(answer.headers).toMatchObject({ dataserviceid: 'http://localhost:8000/pools/p' });
    expect(answer.headers.etag).not.toBe(before.headers.etag);
    expect((await api.ask('GET', '/pools/p')).body).toMatchObject({
      enableAutoScale: true,
      autoScaleEvaluationInterval: 'PT15M',
    });
  });

  test('refuses a formula with its place', async () => {
    await api.withNode();
    const answer = await api.ask('POST', '/pools/p/enableautoscale', {
      json: { autoScaleFormula: '$TargetDedicatedNodes = ;' },
    });
    expect(answer).toMatchObject({
      status: 400,
      body: {
        code: 'AutoScalingFormulaSyntaxError',
        values: [{ key: 'Message', value: "Line 1, Col 25: Expected a value, but there is ';'" }],
      },
    });
  });

  test.each([
    [{ autoScaleFormula: `x = 1;//${'x'.repeat(8_192)}` }, 400, 'AutoScalingFormulaTooLong'],
    [{ autoScaleFormula: FORMULA, autoScaleEvaluationInterval: 'PT1S' }, 400, 'InvalidPropertyValue'],
    [{ autoScaleFormula: 5 }, 400, 'InvalidPropertyValue'],
    [{}, 400, 'MissingRequiredProperty'],
    [undefined, 400, 'MissingRequiredProperty'],
    [{ formula: FORMULA }, 400, 'InvalidRequestBody'],
  ])('of %j answers %i %s', async (json, status, code) => {
    await api.withNode();
    const answer = await api.ask('POST', '/pools/p/enableautoscale', { json });
    expect(answer).toMatchObject({ status, body: { code } });
  });

  test('answers 503 where it comes again within 30 s', async () => {
    await withFormula();
    const again = () =>
      api.ask('POST', '/pools/p/enableautoscale', { json: { autoScaleEvaluationInterval: 'PT5M' } });
    expect(await again()).toMatchObject({ status: 503, body: { code: 'TooManyEnableAutoScaleRequests' } });
    api.control.pass(30_000);
    expect((await again()).status).toBe(200);
  });

  test('honours If-Match', async () => {
    await api.withNode();
    const answer = await api.ask('POST', '/pools/p/enableautoscale', {
      json: { autoScaleFormula: FORMULA },
      headers: { 'if-match': '0x1' },
    });
    expect(answer).toMatchObject({ status: 412, body: { code: 'ConditionNotMet' } });
  });

  test('keeps clients from resizing by hand until it is disabled', async () => {
    await withFormula();
    const resize = () => api.ask('POST', '/pools/p/resize', { json: { targetDedicatedNodes: 2 } });
    expect((await resize()).status).toBe(409);
    expect((await api.ask('POST', '/pools/p/disableautoscale')).status).toBe(200);
    expect((await api.ask('GET', '/pools/p')).body.enableAutoScale).toBe(false);
    expect((await resize()).status).toBe(202);
  });

  test('of a pool that is not there answers 404', async () => {
    for (const operation of ['enableautoscale', 'disableautoscale', 'evaluateautoscale'])
      expect(
        await api.ask('POST', `/pools/none/${operation}`, {
          json: operation === 'disableautoscale' ? undefined : { autoScaleFormula: 'x = 1' },
        }),
      ).toMatchObject({ status: 404, body: { code: 'PoolNotFound' } });
  });
});

describe('evaluateautoscale', () => {
  test('says what a formula would make of the pool, and changes nothing', async () => {
    await withFormula();
    await api.withJob();
    for (const id of ['a', 'b', 'c']) await api.withTask(id);
    const { status, body } = await evaluate(`${FORMULA} half = $PendingTasks / 2;`);
    expect(status).toBe(200);
    expect(body).toEqual({
      'odata.metadata':
        'http://localhost:8000/$metadata#Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun',
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z$/),
      results:
        '$TargetDedicatedNodes=3;$TargetLowPriorityNodes=0;$NodeDeallocationOption=taskcompletion;half=1.5',
    });
    expect((await api.ask('GET', '/pools/p')).body.targetDedicatedNodes).toBe(1);
  });

  test('answers 200 for a bad formula, with the error and the targets as they are', async () => {
    await withFormula();
    const { status, body } = await evaluate('something_useless');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      results: '$TargetDedicatedNodes=1;$TargetLowPriorityNodes=0;$NodeDeallocationOption=requeue',
      error: {
        code: 'AutoScalingFormulaEvaluationError',
        values: [{ name: 'Message', value: 'Line 1, Col 1: Undefined symbol: something_useless' }],
      },
    });
  });

  test('needs automatic scaling to be on, and a formula', async () => {
    await api.withNode();
    expect(await evaluate('x = 1')).toMatchObject({
      status: 409,
      body: { code: 'OperationInvalidForCurrentState' },
    });
    expect(await api.ask('POST', '/pools/p/evaluateautoscale', { json: {} })).toMatchObject({
      status: 400,
      body: { code: 'MissingRequiredProperty' },
    });
  });
});

describe('explain-autoscale', () => {
  const explain = (json?: object) => api.ask('POST', '/shoal/v1/pools/p/explain-autoscale', { json });

  test('shows statements, samples, and when the targets will follow', async () => {
    await withFormula();
    await api.withJob();
    await api.withTask('a');
    await api.withTask('b');
    const { status, body } = await explain();
    expect(status).toBe(200);
    expect(body).toMatchObject({
      pool: 'p',
      formula: FORMULA,
      intervalMs: 900_000,
      targetDedicatedNodes: 1,
      evaluation: {
        targets: { targetDedicatedNodes: 2, nodeDeallocationOption: 'taskcompletion' },
        statements: [
          {
            line: 1,
            text: '$TargetDedicatedNodes = min(10, $PendingTasks)',
            value: '2',
            reads: [{ variable: '$PendingTasks', newest: [2] }],
          },
          { value: '"taskcompletion"' },
        ],
      },
      heldBack: [{ rule: 'nextRun' }],
    });
  });

  test('tries a formula on a pool that is sized by hand', async () => {
    await api.withNode();
    expect((await explain({ formula: '$TargetDedicatedNodes = 5' })).body).toMatchObject({
      evaluation: { targets: { targetDedicatedNodes: 5 } },
      heldBack: [{ rule: 'notEnabled' }],
    });
    expect(await explain()).toMatchObject({ status: 409, body: { code: 'OperationInvalidForCurrentState' } });
  });

  test('says what is wrong with a formula', async () => {
    await api.withNode();
    expect((await explain({ formula: 'x = 1 / 0' })).body).toMatchObject({
      evaluation: { error: 'Line 1, Col 5: Division by zero' },
      heldBack: [{ rule: 'formula' }],
    });
  });
});

test('the last run stands with the pool', async () => {
  await withFormula();
  const { body } = await api.ask('GET', '/pools/p');
  expect(body).not.toHaveProperty('autoScaleRun');
  const version = String((await api.ask('GET', '/pools/p')).headers.etag);
  await api.control.propose('mesh', {
    kind: 'pool.autoScaled',
    pool: 'p',
    version,
    run: 0,
    targets: { targetDedicatedNodes: 4, targetLowPriorityNodes: 0, nodeDeallocationOption: 'requeue' },
    results: '$TargetDedicatedNodes=4',
  });
  const after = await api.ask('GET', '/pools/p');
  expect(after.body).toMatchObject({
    targetDedicatedNodes: 4,
    allocationState: 'resizing',
    autoScaleRun: { timestamp: expect.stringMatching(/Z$/), results: '$TargetDedicatedNodes=4' },
  });
});
