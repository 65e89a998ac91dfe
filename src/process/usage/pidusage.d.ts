/** The package has no types of its own; these are the parts that are used. */
declare module 'pidusage' {
  interface Status {
    readonly memory: number;
    readonly ctime: number;
    readonly elapsed: number;
  }

  export default function pidusage(
    pids: number[],
    options: { readonly usePs: boolean },
  ): Promise<Readonly<Record<number, Status | undefined>>>;
}
