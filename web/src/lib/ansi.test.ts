import { describe, expect, it } from 'vitest'
import { Ansi, marked, plain } from './ansi'

const lines = (...pieces: string[]) => {
  const ansi = new Ansi()
  for (const piece of pieces) ansi.push(piece)
  return ansi.lines
}

const strip = (text: string) => lines(text).map(plain).join('\n')

describe('terminal output', () => {
  it('turns colours into classes and style values', () => {
    expect(lines('\u001b[1;31mred\u001b[0m plain \u001b[38;5;208mo\u001b[48;2;1;2;3mx')).toEqual([
      [
        { text: 'red', classes: ['b', 'fg-red'] },
        { text: ' plain ', classes: [] },
        { text: 'o', classes: [], color: 'rgb(255 135 0)' },
        { text: 'x', classes: [], color: 'rgb(255 135 0)', background: 'rgb(1 2 3)' },
      ],
    ])
  })

  it('is the same wherever the stream is cut', () => {
    const whole = 'a\u001b[92mgreen\u001b[22;39m b\r\nnext \u001b]0;title\u0007end'
    const expected = lines(whole).map(plain)
    for (let at = 1; at < whole.length; at++) {
      const cut = lines(whole.slice(0, at), whole.slice(at))
      expect(cut.map(plain)).toEqual(expected)
      expect(cut[0]?.at(-1)?.classes).toEqual([])
    }
  })

  it('keeps markup as text and drops what moves the cursor', () => {
    expect(strip('<b>x</b>\u001b[2J\u001b[10;4H!')).toBe('<b>x</b>!')
  })

  it('lets a carriage return overwrite the line but not CRLF', () => {
    expect(lines('10%\r20%\r\nok').map(plain)).toEqual(['20%', 'ok'])
  })

  it('does not wait for a sequence that never ends', () => {
    expect(strip(`\u001b[${'1;'.repeat(200)}`).length).toBeGreaterThan(100)
  })
})

describe('marks', () => {
  const marks = (text: string, wanted: string) =>
    marked(lines(text)[0] ?? [], wanted).map((s) => (s.mark ? `[${s.text}]` : s.text))

  it('are cut out of the segments, over their borders too', () => {
    expect(marks('an error, another ERROR', 'error')).toEqual(['an ', '[error]', ', another ', '[ERROR]'])
    expect(marks('er\u001b[31mror\u001b[0m', 'error')).toEqual(['[er]', '[ror]'])
    expect(marks('aaaa', 'aa')).toEqual(['[aa]', '[aa]'])
    expect(marks('nothing', 'x')).toEqual(['nothing'])
    expect(marks('nothing', '')).toEqual(['nothing'])
  })
})
