/** What stands behind a dot: the parts of a timestamp, and the methods of sampled variables. */

/** All in UTC. The week begins with Monday, which is 1. */
export const TIMESTAMP_MEMBERS: Readonly<Record<string, (date: Date) => number>> = {
  year: (date) => date.getUTCFullYear(),
  month: (date) => date.getUTCMonth() + 1,
  day: (date) => date.getUTCDate(),
  weekday: (date) => date.getUTCDay() || 7,
  hour: (date) => date.getUTCHours(),
  minute: (date) => date.getUTCMinutes(),
  second: (date) => date.getUTCSeconds(),
};

/** Fewest and most arguments. */
export const SAMPLE_METHODS: Readonly<Record<string, readonly [number, number]>> = {
  GetSample: [1, 3],
  GetSamplePercent: [1, 2],
  GetSamplePeriod: [0, 0],
  Count: [0, 0],
  HistoryBeginTime: [0, 0],
};
