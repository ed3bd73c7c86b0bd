/** Lets a `HysparkError` cross a Comlink connection whole. Both sides import this file for its effect. */

import * as Comlink from 'comlink';
import { HysparkError, type PlainError } from '../../errors.ts';

interface Thrown {
  readonly value: unknown;
}
type Wire = { readonly hyspark: PlainError } | object;

// Comlink marks what was thrown with a symbol of its own, so its handler is wrapped rather than replaced.
const plain = Comlink.transferHandlers.get('throw') as Comlink.TransferHandler<Thrown, object>;

const handler: Comlink.TransferHandler<Thrown, Wire> = {
  canHandle: (value): value is Thrown => plain.canHandle(value),
  serialize(thrown) {
    if (thrown.value instanceof HysparkError) return [{ hyspark: thrown.value.toPlain() }, []];
    return plain.serialize(thrown);
  },
  deserialize(wire) {
    if ('hyspark' in wire) throw HysparkError.fromPlain(wire.hyspark);
    return plain.deserialize(wire);
  },
};
Comlink.transferHandlers.set('throw', handler);
