/**
 * Text for a log or an error without what opens something: signatures of URLs, keys and tokens, by their forms. Nothing
 * writes one there on purpose; this holds where an error quotes what it was given.
 */
export function withoutSecrets(text: string): string {
  return text
    .replace(/([?&]sig=)[^&\s"'\\]+/gi, '$1***')
    .replace(/\b(SharedKey [\w-]+:|Bearer |AccountKey=)[\w+/.=-]+/gi, '$1***')
    .replace(/\b(shoal1\.|shoal_)[\w-]{16,}(?:\.[\w-]+)?/g, '$1***');
}
