/** The program's version; a test holds it equal to package.json, which a bundle does not carry. */
export const VERSION = '0.1.0';
