/** Routes of automatic scaling: Azure Batch's three, and ours that explains. */
import { randomInt } from 'node:crypto';
import Type from 'typebox';
import { ShoalError } from '../lib/errors.ts';
import { AUTOSCALE_FORMULA_ACCEPTED_LENGTH_MAX } from '../lib/limits.ts';
import type { AutoScaleEvaluation, AutoScaleExplanation } from '../model/autoscale.ts';
import { MESH_GROUP, poolGroup } from '../model/ids.ts';
import { unwrap } from '../model/outcome.ts';
import { AutoScaleChange } from '../model/pool.ts';
import type { PoolEntity } from '../model/queries.ts';
import { readCondition } from './conditions.ts';
import type { ApiContext } from './context.ts';
import { poolUrl } from './entity-url.ts';
import { heldBack } from './held-back.ts';
import { findPool, poolIdOf } from './pools.ts';
import { renderRun } from './render-pool.ts';
import { type Answer, type Call, empty, json, type Route } from './route.ts';
import { type MeshStampCommand, stampHeaders } from './stamps.ts';
import { bodyReader } from './validate.ts';

const Formula = Type.String({ maxLength: AUTOSCALE_FORMULA_ACCEPTED_LENGTH_MAX });
const strict = { additionalProperties: false } as const;

const readChange = bodyReader(AutoScaleChange);
const readFormula = bodyReader(Type.Object({ autoScaleFormula: Formula }, strict));
/** Without a formula the pool's own is explained. */
const readExplanation = bodyReader(Type.Object({ formula: Type.Optional(Formula) }, strict));

export function autoScaleRoutes(context: ApiContext): readonly Route[] {
  const one = '/pools/:pool';
  return [
    {
      method: 'POST',
      path: `${one}/enableautoscale`,
      name: 'Pool_EnableAutoScale',
      handle: (call) => enable(context, call),
    },
    {
      method: 'POST',
      path: `${one}/disableautoscale`,
      name: 'Pool_DisableAutoScale',
      handle: (call) => disable(context, call),
    },
    {
      method: 'POST',
      path: `${one}/evaluateautoscale`,
      name: 'Pool_EvaluateAutoScale',
      asks: true,
      handle: (call) => evaluate(context, call),
    },
    {
      method: 'POST',
      path: '/shoal/v1/pools/:pool/explain-autoscale',
      name: 'Shoal_ExplainAutoScale',
      asks: true,
      handle: (call) => explain(context, call),
    },
  ];
}

async function enable(context: ApiContext, call: Call): Promise<Answer> {
  const change = readChange(call.body ?? {}, call.version);
  return propose(context, call, {
    kind: 'pool.enableAutoScale',
    pool: poolIdOf(call),
    change,
    ...readCondition(call.headers),
  });
}

async function disable(context: ApiContext, call: Call): Promise<Answer> {
  return propose(context, call, {
    kind: 'pool.disableAutoScale',
    pool: poolIdOf(call),
    ...readCondition(call.headers),
  });
}

async function propose(context: ApiContext, call: Call, command: MeshStampCommand): Promise<Answer> {
  const stamp = unwrap(await context.control.propose(MESH_GROUP, command, call.commandOptions(command.kind)));
  return empty(200, { ...stampHeaders(stamp), dataserviceid: poolUrl(call.baseUrl, poolIdOf(call)) });
}

/** A formula that cannot be evaluated is an answer too: 200, with the error in it. */
async function evaluate(context: ApiContext, call: Call): Promise<Answer> {
  const { autoScaleFormula } = readFormula(call.body, call.version);
  const pool = await findPool(context, call);
  if (pool.autoScale === undefined)
    throw new ShoalError(
      'OperationInvalidForCurrentState',
      `Automatic scaling is not enabled on the pool ${pool.spec.id}.`,
    );
  const evaluation = await evaluated(context, call, pool, autoScaleFormula);
  return json(
    {
      'odata.metadata': `${call.baseUrl}/$metadata#Microsoft.Azure.Batch.Protocol.Entities.AutoScaleRun`,
      ...renderRun(evaluation),
    },
    { dataserviceid: poolUrl(call.baseUrl, pool.spec.id) },
  );
}

async function explain(context: ApiContext, call: Call): Promise<Answer> {
  const { formula: given } = readExplanation(call.body ?? {});
  const pool = await findPool(context, call);
  const formula = given ?? pool.autoScale?.formula;
  if (formula === undefined)
    throw new ShoalError(
      'OperationInvalidForCurrentState',
      `The pool ${pool.spec.id} has no formula: give one to be explained.`,
    );
  const evaluation = await evaluated(context, call, pool, formula);
  const answer: AutoScaleExplanation = {
    pool: pool.spec.id,
    formula,
    evaluation,
    targetDedicatedNodes: pool.targetDedicatedNodes,
    targetLowPriorityNodes: pool.targetLowPriorityNodes,
    currentDedicatedNodes: pool.currentDedicatedNodes,
    currentLowPriorityNodes: pool.currentLowPriorityNodes,
    ...(pool.autoScale !== undefined && {
      intervalMs: pool.autoScale.intervalMs,
      onChange: pool.autoScale.onChange,
    }),
    ...(pool.autoScaleRun !== undefined && { lastRun: pool.autoScaleRun }),
    heldBack: heldBack(pool, evaluation, { own: pool.autoScale?.formula === formula }),
  };
  return json(answer);
}

/** On the pool's coordinator, which has its tasks, nodes and samples. */
function evaluated(
  context: ApiContext,
  call: Call,
  pool: PoolEntity,
  formula: string,
): Promise<AutoScaleEvaluation> {
  const { targetDedicatedNodes, targetLowPriorityNodes } = pool;
  return context.control.query(
    poolGroup(pool.spec.id),
    'pool.evaluateAutoScale',
    {
      formula,
      nowMs: Math.floor(context.clock.wallMs()),
      seed: randomInt(2 ** 31),
      targetDedicatedNodes,
      targetLowPriorityNodes,
    },
    call.options(),
  );
}
