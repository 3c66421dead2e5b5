// The 【key】 form of a job's command text, read into what a form shows and written back.
// The rules are the server's (docs/API.md, "The command text"). A text that a form cannot show
// without losing something says so in `issues`; the editor then leaves the text alone.

import type { Mode } from '../api/types'

export interface Pair {
  name: string
  value: string
}

export interface Form {
  /** Single values, by the key's main name. */
  values: Record<string, string>
  /** `headers` of http, `env` of command. */
  pairs: Pair[]
}

export interface Issue {
  code: 'unknown' | 'twice' | 'preface'
  key: string
}

export interface Parsed {
  form: Form
  issues: Issue[]
}

const KEYS: Record<Mode, readonly string[]> = {
  http: ['url', 'mode', 'headers', 'cookies', 'proxy', 'data', 'result', 'timeout', 'times', 'interval'],
  command: ['command', 'workdir', 'env', 'user', 'memory', 'cpu', 'files', 'timeout', 'times', 'interval'],
  func: ['name', 'arg', 'timeout', 'times', 'interval'],
}
const ALIASES: Partial<Record<Mode, Record<string, string>>> = {
  http: { method: 'mode', header: 'headers' },
  func: { args: 'arg' },
}
const PAIRS: Record<Mode, { key: string; mark: string } | null> = {
  http: { key: 'headers', mark: ':' },
  command: { key: 'env', mark: '=' },
  func: null,
}
const SEPARATOR = '|||'
const KEY_LINE = /^【([A-Za-z]+)】/

export function emptyForm(): Form {
  return { values: {}, pairs: [] }
}

export function parse(mode: Mode, text: string): Parsed {
  const form = emptyForm()
  const issues: Issue[] = []
  const fields: { key: string | null; lines: string[] }[] = []
  const preface: string[] = []
  for (const line of text.replace(/^[\uFEFF\s]+/, '').split('\n')) {
    const word = KEY_LINE.exec(line)
    if (!word) {
      const open = fields.at(-1)
      ;(open ? open.lines : preface).push(line)
      continue
    }
    const key = keyOf(mode, word[1] ?? '')
    if (key === null) issues.push({ code: 'unknown', key: word[1] ?? '' })
    fields.push({ key, lines: [line.slice(word[0].length)] })
  }
  const before = preface.join('\n').trim()
  if (fields.every((field) => field.key === null)) {
    readBare(mode, before, form)
    return { form, issues }
  }
  if (before) issues.push({ code: 'preface', key: before.slice(0, 40) })
  for (const { key, lines } of fields) {
    if (key === null) continue
    const value = lines.join('\n').trim()
    if (key === PAIRS[mode]?.key) {
      if (key !== 'headers' && form.pairs.length > 0) issues.push({ code: 'twice', key })
      form.pairs.push(...readPairs(mode, value))
    } else if (key in form.values) {
      issues.push({ code: 'twice', key })
    } else {
      form.values[key] = value
    }
  }
  for (const [key, value] of Object.entries(form.values)) if (value === '') delete form.values[key]
  return { form, issues }
}

/** Empty values are left out; an empty form is an empty text. */
export function write(mode: Mode, form: Form): string {
  const lines: string[] = []
  for (const key of KEYS[mode]) {
    const value = key === PAIRS[mode]?.key ? writePairs(mode, form.pairs) : (form.values[key] ?? '').trim()
    if (value !== '') lines.push(`【${key}】${guarded(value)}`)
  }
  return lines.join('\n')
}

/** The key that an error message speaks of: the server writes 【key】 in front. */
export function keyOfMessage(mode: Mode, message: string): string | null {
  const word = /^【([A-Za-z]+)】/.exec(message)
  return word ? keyOf(mode, word[1] ?? '') : null
}

function keyOf(mode: Mode, word: string): string | null {
  const lower = word.toLowerCase()
  const key = ALIASES[mode]?.[lower] ?? lower
  return KEYS[mode].includes(key) ? key : null
}

function readBare(mode: Mode, text: string, form: Form): void {
  if (text === '') return
  if (mode === 'http') form.values.url = text
  else if (mode === 'command') form.values.command = text
  else {
    const [, name = '', arg = ''] = /^(\S+)\s*([\s\S]*)$/.exec(text) ?? []
    form.values.name = name
    if (arg !== '') form.values.arg = arg
  }
}

function readPairs(mode: Mode, value: string): Pair[] {
  const mark = PAIRS[mode]?.mark ?? ':'
  return value
    .split(SEPARATOR)
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => {
      const at = part.indexOf(mark)
      return at < 0
        ? { name: part, value: '' }
        : { name: part.slice(0, at).trim(), value: part.slice(at + 1).trim() }
    })
}

function writePairs(mode: Mode, pairs: Pair[]): string {
  const mark = PAIRS[mode]?.mark ?? ':'
  return pairs
    .filter((pair) => pair.name.trim() !== '' || pair.value.trim() !== '')
    .map((pair) => `${pair.name.trim()}${mark}${pair.value.trim()}`)
    .join(SEPARATOR)
}

// A later line of a value that looks like a key would be read as one; a space in front keeps it.
function guarded(value: string): string {
  return value.replace(/\n(?=【[A-Za-z]+】)/g, '\n ')
}
