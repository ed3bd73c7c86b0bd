/** The package ships no types; these are the parts that are used. */
declare module '@niivue/dcm2niix' {
  export class Dcm2niix {
    worker: Worker | null;
    init(): Promise<boolean>;
    input(files: readonly File[]): { commands: string[]; run(): Promise<readonly File[]> };
  }
}
