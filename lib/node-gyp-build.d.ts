declare module 'node-gyp-build' {
  /** Requires the addon found under `root`. */
  function load(root: string): unknown;
  export = load;
}
