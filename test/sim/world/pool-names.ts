/** Pools that a world may have beside `default`. */
export const SECOND_POOL = 'second';
/** Its nodes take tasks of several instances. */
export const GANG_POOL = 'gangs';
/** Sized by a formula. */
export const SCALED_POOL = 'scaled';
