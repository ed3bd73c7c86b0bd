/** The package ships no types; only the tag that shaders use is declared. */
declare module 'wgsl-preprocessor/wgsl-preprocessor.js' {
  /** Template tag: `#if ${condition} … #elif ${condition} … #else … #endif`, resolved when the template is evaluated. */
  export function wgsl(strings: TemplateStringsArray, ...values: unknown[]): string;
}
