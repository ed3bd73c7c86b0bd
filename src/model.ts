/** `hyspark-webgpu/model`: HySparK and its layers on the tape of `hyspark-webgpu/engine`, and its weights as files. */

export * from './formats/pth.ts';
export { openSafetensors, readSafetensors, writeSafetensors } from './formats/safetensors.ts';
export * from './models/hyspark/checkpoint.ts';
export * from './models/hyspark/config.ts';
export { type EncoderFeatures, HySparKEncoder } from './models/hyspark/encoder.ts';
export * from './models/hyspark/hyspark.ts';
export * from './nn/blocks.ts';
export * from './nn/declare.ts';
export * from './nn/initialisers.ts';
export * from './nn/layers.ts';
