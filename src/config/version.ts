/** Version of this package, as told to servers; a test compares it with package.json. */
export const VERSION = '0.1.0';
