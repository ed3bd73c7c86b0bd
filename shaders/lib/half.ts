/**
 * Half-precision storage: from a kernel written in f32, the one in which some of its bindings lie in memory as f16. Arithmetic stays in
 * f32: a value is widened where it is read and rounded where it is stored. Needs the feature `shader-f16`.
 *
 * With a binding `x` of f32 the text changes in three places: its declaration becomes `array<f16>`; `x[i]` becomes `f32(x[i])`; `x[i] = v;`
 * becomes `x[i] = f16(v);`, which rounds to nearest and gives infinity beyond 65504, where gradients are checked for it (`optimiser.wgsl.ts`).
 * Likewise vec4f and vec4<f16>.
 */

import type { Binding, Kernel } from './kernel.ts';

const known = new Map<string, Kernel>();

/**
 * The variant of a kernel whose bindings `names` are stored as f16. Its id says which they are. Throws where the text does with such a
 * binding what only f32 can do: anything but whole reads and `=`.
 */
export function halfStored(kernel: Kernel, names: readonly string[]): Kernel {
  if (names.length === 0) return kernel;
  const id = `${kernel.id}[f16 ${names.join(' ')}]`;
  let variant = known.get(id);
  if (!variant) {
    variant = derive(kernel, names, id);
    known.set(id, variant);
  }
  return variant;
}

function derive(kernel: Kernel, names: readonly string[], id: string): Kernel {
  const fail = (name: string, got: string): never => {
    throw new Error(`${kernel.id}: the binding "${name}" cannot be stored as f16: ${got}`);
  };
  let text = kernel.wgsl;
  const types = new Map<string, 'f32' | 'vec4f'>();
  for (const name of names) {
    const type = kernel.bindings.find((binding) => binding.name === name)?.type;
    if (type !== 'f32' && type !== 'vec4f') return fail(name, type ? `it holds ${type}` : 'there is none');
    types.set(name, type);
    text = text.replace(`> ${name}: array<${type}>;`, `> ${name}: array<${type === 'f32' ? 'f16' : 'vec4<f16>'}>;`);
  }
  const bindings = kernel.bindings.map(
    (b): Binding => (types.has(b.name) ? { ...b, type: b.type === 'f32' ? 'f16' : 'vec4h' } : b),
  );
  return { ...kernel, id, bindings, f16: true, wgsl: `enable f16;\n${new Rewriter(text, types, fail).all()}` };
}

/** One pass over the text, left to right. A name that a function declares for itself is its own until the block ends. */
class Rewriter {
  private readonly tokens: readonly string[];
  /** Names declared in each open block of a function; empty at module level, where nothing is read or stored. */
  private readonly scopes: Set<string>[] = [];

  constructor(
    text: string,
    private readonly types: ReadonlyMap<string, 'f32' | 'vec4f'>,
    private readonly fail: (name: string, got: string) => never,
  ) {
    this.tokens = text.match(/\/\/.*|[A-Za-z_]\w*|\d[\w.]*|\s+|./g) ?? [];
  }

  all(): string {
    return this.rewrite(0, this.tokens.length);
  }

  private rewrite(from: number, to: number): string {
    const { tokens, types, scopes } = this;
    let out = '';
    let last = ''; // token that is not a space
    /** Parameters of a function whose body has not begun. */
    let parameters: Set<string> | undefined;
    for (let at = from; at < to; at++) {
      const token = tokens[at]!;
      if (token === 'fn') parameters = new Set();
      else if (token === '{' && (parameters || scopes.length > 0)) {
        scopes.push(parameters ?? new Set());
        parameters = undefined;
      } else if (token === '}') scopes.pop();
      else if (parameters && tokens[at + 1] === ':') parameters.add(token);
      else if (scopes.length > 0 && ['let', 'const', 'var'].includes(last)) scopes.at(-1)!.add(token);
      const isOther = scopes.length === 0 || last === '.' || scopes.some((scope) => scope.has(token));
      const type = isOther ? undefined : types.get(token);
      if (token.trim()) last = token;
      if (type === undefined) {
        out += token;
        continue;
      }
      if (tokens[at + 1] !== '[') this.fail(token, 'it is used without an index');
      const close = this.closing(at + 1);
      const place = `${token}[${this.rewrite(at + 2, close)}]`;
      const [half, full] = type === 'f32' ? ['f16', 'f32'] : ['vec4<f16>', 'vec4f'];
      const next = this.next(close);
      const after = tokens.slice(next, next + 3).join('');
      if (/^([-+*/%&|^]=|<<=|>>=|\+\+|--)/.test(after)) {
        this.fail(token, 'it is changed in place; write `=` and the new value');
      }
      last = ']';
      if (/^=[^=]/.test(after)) {
        const end = tokens.indexOf(';', next);
        out += `${place} = ${half}(${this.rewrite(this.next(next), end)})`;
        at = end - 1;
      } else {
        out += `${full}(${place})`;
        at = close;
      }
    }
    return out;
  }

  /** The next token that is not a space. */
  private next(at: number): number {
    return this.tokens[at + 1]?.trim() === '' ? at + 2 : at + 1;
  }

  /** Where the bracket that opens at `open` closes. */
  private closing(open: number): number {
    let depth = 0;
    for (let at = open; ; at++) {
      if (this.tokens[at] === '[') depth++;
      if (this.tokens[at] === ']' && --depth === 0) return at;
    }
  }
}
