// Terminal output as lines of styled text. Colours become classes and plain style objects, never
// markup. It keeps its state between pieces, so that a stream may be cut anywhere.

export interface Segment {
  text: string
  classes: string[]
  /** 256 and 24-bit colours; the sixteen named ones are classes, which follow the theme. */
  color?: string
  background?: string
}

export type Line = Segment[]

interface Style {
  classes: Set<string>
  fg: string | null
  bg: string | null
}

const SGR_ON: Record<number, string> = { 1: 'b', 2: 'dim', 3: 'i', 4: 'u', 7: 'inv', 9: 's' }
const SGR_OFF: Record<number, string[]> = { 22: ['b', 'dim'], 23: ['i'], 24: ['u'], 27: ['inv'], 29: ['s'] }
const NAMES = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white']
// A sequence that never ends is text, not something to wait for.
const LONGEST_SEQUENCE = 256

export class Ansi {
  readonly lines: Line[] = [[]]
  private style: Style = { classes: new Set(), fg: null, bg: null }
  private rest = ''
  private restart = false

  /** Takes the next piece of the stream. */
  push(piece: string): void {
    let text = this.rest + piece
    this.rest = ''
    while (text !== '') {
      const at = text.search(/[\u001b\r\n]/)
      if (at < 0) {
        this.add(text)
        return
      }
      if (at > 0) this.add(text.slice(0, at))
      text = text.slice(at)
      if (text[0] === '\n') {
        this.restart = false
        this.lines.push([])
        text = text.slice(1)
      } else if (text[0] === '\r') {
        this.restart = true
        text = text.slice(1)
      } else {
        const length = this.sequence(text)
        if (length === null) {
          this.rest = text
          return
        }
        text = text.slice(length)
      }
    }
  }

  /** The length of the escape sequence that `text` starts with; null when more is needed. */
  private sequence(text: string): number | null {
    // eslint-disable-next-line no-control-regex
    const csi = /^\u001b\[([0-9;:?<=>!]*)[ -/]*([@-~])/.exec(text)
    if (csi) {
      if (csi[2] === 'm') this.sgr(csi[1] ?? '')
      return csi[0].length
    }
    const osc = /^\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/.exec(text)
    if (osc) return osc[0].length
    const open = text.length === 1 || (text[1] === '[' && /^[\d;:?<=>! -/]*$/.test(text.slice(2))) || text[1] === ']'
    if (open && text.length < LONGEST_SEQUENCE) return null
    return text[1] === '[' || text[1] === ']' ? 2 : Math.min(2, text.length)
  }

  private add(text: string): void {
    const line = this.lines[this.lines.length - 1]
    if (!line) return
    // A bare carriage return starts the line over, as progress bars do.
    if (this.restart) {
      line.length = 0
      this.restart = false
    }
    const { classes, fg, bg } = this.style
    const segment: Segment = { text, classes: [...classes] }
    if (fg?.startsWith('rgb')) segment.color = fg
    else if (fg) segment.classes.push(`fg-${fg}`)
    if (bg?.startsWith('rgb')) segment.background = bg
    else if (bg) segment.classes.push(`bg-${bg}`)
    line.push(segment)
  }

  private sgr(parameters: string): void {
    const codes = parameters.split(/[;:]/).map((part) => (part === '' ? 0 : Number(part)))
    while (codes.length > 0) {
      const code = codes.shift() ?? 0
      const { classes } = this.style
      if (code === 0) this.style = { classes: new Set(), fg: null, bg: null }
      else if (SGR_ON[code]) classes.add(SGR_ON[code])
      else if (SGR_OFF[code]) for (const name of SGR_OFF[code]) classes.delete(name)
      else if (code >= 30 && code <= 37) this.style.fg = NAMES[code - 30] ?? null
      else if (code >= 40 && code <= 47) this.style.bg = NAMES[code - 40] ?? null
      else if (code >= 90 && code <= 97) this.style.fg = `bright-${NAMES[code - 90]}`
      else if (code >= 100 && code <= 107) this.style.bg = `bright-${NAMES[code - 100]}`
      else if (code === 39) this.style.fg = null
      else if (code === 49) this.style.bg = null
      else if (code === 38) this.style.fg = extended(codes)
      else if (code === 48) this.style.bg = extended(codes)
    }
  }
}

function extended(codes: number[]): string | null {
  const kind = codes.shift()
  if (kind === 2) {
    const [r = 0, g = 0, b = 0] = codes.splice(0, 3).map((n) => Math.min(255, Math.max(0, n || 0)))
    return `rgb(${r} ${g} ${b})`
  }
  if (kind !== 5) return null
  const n = codes.shift() ?? 0
  if (n < 8) return NAMES[n] ?? null
  if (n < 16) return `bright-${NAMES[n - 8]}`
  if (n >= 232) {
    const grey = Math.min(255, 8 + (n - 232) * 10)
    return `rgb(${grey} ${grey} ${grey})`
  }
  const step = (v: number) => (v === 0 ? 0 : 55 + v * 40)
  const cube = n - 16
  return `rgb(${step(Math.floor(cube / 36))} ${step(Math.floor(cube / 6) % 6)} ${step(cube % 6)})`
}

/** The text without any sequence, for search. */
export function plain(line: Line): string {
  return line.map((segment) => segment.text).join('')
}

/** The line with its segments cut where `wanted` (lower case) begins and ends, so that it can be marked. */
export function marked(line: Line, wanted: string): (Segment & { mark: boolean })[] {
  const text = plain(line).toLowerCase()
  // Lower case may be longer (İ): then places differ, and the line is shown without marks.
  if (wanted === '' || text.length !== plain(line).length) return line.map((segment) => ({ ...segment, mark: false }))
  const cuts: number[] = []
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) cuts.push(at, at + wanted.length)
  const out: (Segment & { mark: boolean })[] = []
  let start = 0
  for (const segment of line) {
    const end = start + segment.text.length
    const edges = [start, ...cuts.filter((cut) => cut > start && cut < end), end]
    for (let n = 0; n + 1 < edges.length; n++) {
      const [from = 0, to = 0] = [edges[n], edges[n + 1]]
      const mark = cuts.some((cut, at) => at % 2 === 0 && cut <= from && from < (cuts[at + 1] ?? 0))
      if (to > from) out.push({ ...segment, text: segment.text.slice(from - start, to - start), mark })
    }
    start = end
  }
  return out
}
