/** The tree of a formula. */

interface Node {
  /** Offsets into the formula: the first character, and the one behind the last. */
  readonly start: number;
  readonly end: number;
  /** Nodes on the longest way down, this one included. */
  readonly depth: number;
}

export const BINARY_OPERATORS = ['||', '&&', '==', '!=', '<', '<=', '>', '>=', '+', '-', '*', '/'] as const;
export type BinaryOperator = (typeof BINARY_OPERATORS)[number];

export type Expression = Node &
  (
    | { readonly kind: 'number'; readonly value: number }
    | { readonly kind: 'string'; readonly text: string }
    | { readonly kind: 'name'; readonly name: string }
    | { readonly kind: 'unary'; readonly operator: '-' | '!'; readonly operand: Expression }
    | {
        readonly kind: 'binary';
        readonly operator: BinaryOperator;
        readonly left: Expression;
        readonly right: Expression;
      }
    | {
        readonly kind: 'conditional';
        readonly condition: Expression;
        readonly whenTrue: Expression;
        readonly whenFalse: Expression;
      }
    | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Expression[] }
    | {
        readonly kind: 'method';
        readonly target: Expression;
        readonly name: string;
        readonly nameAt: number;
        readonly arguments: readonly Expression[];
      }
    | {
        readonly kind: 'member';
        readonly target: Expression;
        readonly name: string;
        readonly nameAt: number;
      }
  );

export interface Statement {
  readonly start: number;
  readonly end: number;
  /** Undefined for a bare expression, such as `stop()`. */
  readonly variable: string | undefined;
  readonly expression: Expression;
}

/** A formula that was read without fault. */
export interface Program {
  readonly source: string;
  readonly statements: readonly Statement[];
}
