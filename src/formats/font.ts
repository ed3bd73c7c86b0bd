/** Capital letters, digits and some signs of 5 × 7 pixels, for labels in pictures. */
import type { RgbImage } from './png.ts';

/** Bands of glyphs side by side, five columns each with one between: the characters first, then seven rows. */
const BANDS = [
  [
    'ABCDEFGHIJKLM',
    '.###. ####. .###. ####. ##### ##### .###. #...# .###. ..### #...# #.... #...#',
    '#...# #...# #...# #...# #.... #.... #...# #...# ..#.. ...#. #..#. #.... ##.##',
    '#...# #...# #.... #...# #.... #.... #.... #...# ..#.. ...#. #.#.. #.... #.#.#',
    '##### ####. #.... #...# ####. ####. #.### ##### ..#.. ...#. ##... #.... #.#.#',
    '#...# #...# #.... #...# #.... #.... #...# #...# ..#.. ...#. #.#.. #.... #...#',
    '#...# #...# #...# #...# #.... #.... #...# #...# ..#.. #..#. #..#. #.... #...#',
    '#...# ####. .###. ####. ##### #.... .###. #...# .###. .##.. #...# ##### #...#',
  ],
  [
    'NOPQRSTUVWXYZ',
    '#...# .###. ####. .###. ####. .#### ##### #...# #...# #...# #...# #...# #####',
    '##..# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# #...# #...# ....#',
    '#.#.# #...# #...# #...# #...# #.... ..#.. #...# #...# #...# .#.#. .#.#. ...#.',
    '#.#.# #...# ####. #...# ####. .###. ..#.. #...# #...# #.#.# ..#.. ..#.. ..#..',
    '#..## #...# #.... #.#.# #.#.. ....# ..#.. #...# #...# #.#.# .#.#. ..#.. .#...',
    '#...# #...# #.... #..#. #..#. ....# ..#.. #...# .#.#. ##.## #...# ..#.. #....',
    '#...# .###. #.... .##.# #...# ####. ..#.. .###. ..#.. #...# #...# ..#.. #####',
  ],
  [
    '0123456789.,:',
    '.###. ..#.. .###. ####. ...#. ##### .###. ##### .###. .###. ..... ..... .....',
    '#...# .##.. #...# ....# ..##. #.... #.... ....# #...# #...# ..... ..... ..#..',
    '#..## ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...# ..... ..... ..#..',
    '#.#.# ..#.. ..##. .###. #..#. ....# ####. ..#.. .###. .#### ..... ..... .....',
    '##..# ..#.. .#... ....# ##### ....# #...# ..#.. #...# ....# ..... ..... ..#..',
    '#...# ..#.. #.... ....# ...#. #...# #...# ..#.. #...# ....# ..#.. ..#.. ..#..',
    '.###. .###. ##### ####. ...#. .###. .###. ..#.. .###. .###. ..#.. .#... .....',
  ],
  [
    '-+/%()=±? ',
    '..... ..... ....# ##..# ...#. .#... ..... ..#.. .###. .....',
    '..... ..#.. ....# ##..# ..#.. ..#.. ..... ..#.. #...# .....',
    '..... ..#.. ...#. ...#. ..#.. ..#.. ##### ##### ...#. .....',
    '.###. ##### ..#.. ..#.. ..#.. ..#.. ..... ..#.. ..#.. .....',
    '..... ..#.. .#... .#... ..#.. ..#.. ##### ..#.. ..#.. .....',
    '..... ..#.. #.... #..## ..#.. ..#.. ..... ..... ..... .....',
    '..... ..... #.... #..## ...#. .#... ..... ##### ..#.. .....',
  ],
] as const;

const WIDTH = 5;
export const GLYPH_HEIGHT = 7;
/** From one character to the next, pixels. */
const ADVANCE = WIDTH + 1;

/** Rows of each character. */
const GLYPHS = new Map<string, string[]>();
for (const [characters, ...rows] of BANDS)
  for (const [i, character] of [...characters].entries())
    GLYPHS.set(
      character,
      rows.map((row) => row.slice(i * ADVANCE, i * ADVANCE + WIDTH)),
    );

/** Pixels that a text takes, at a whole scale. */
export function textWidth(text: string, scale: number): number {
  return ([...text].length * ADVANCE - 1) * scale;
}

/** Draws a text with its upper left corner at (left, top); what lies outside of the picture is left out. */
export function drawText(
  image: RgbImage,
  text: string,
  left: number,
  top: number,
  scale: number,
  colour: readonly [number, number, number],
): void {
  const { width, height, data } = image;
  for (const [i, character] of [...text.toUpperCase()].entries()) {
    const glyph = GLYPHS.get(character) ?? GLYPHS.get('?')!;
    for (let v = 0; v < GLYPH_HEIGHT * scale; v++)
      for (let u = 0; u < WIDTH * scale; u++) {
        const x = left + i * ADVANCE * scale + u;
        const y = top + v;
        if (glyph[Math.floor(v / scale)]![Math.floor(u / scale)] !== '#') continue;
        if (x >= 0 && x < width && y >= 0 && y < height) data.set(colour, (y * width + x) * 3);
      }
  }
}
