/** What the mesh asks of a logger; pino's is one. */
export interface MeshLog {
  debug(values: object, message: string): void;
  info(values: object, message: string): void;
  warn(values: object, message: string): void;
}
