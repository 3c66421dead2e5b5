// What a change made of fields, side by side.

export interface Change {
  field: string
  /** Null: there was, or is, no such field. */
  before: string | null
  after: string | null
}

type Fields = Record<string, unknown>

/** Each field of either side, in the order of the one that has it; parts of a part are named `whole.part`. */
export function changesOf(before: unknown, after: unknown): Change[] {
  const [old, fresh] = [flat(before), flat(after)]
  return [...new Set([...old.keys(), ...fresh.keys()])].map((field) => ({ field, before: old.get(field) ?? null, after: fresh.get(field) ?? null }))
}

function flat(value: unknown, path = '', into = new Map<string, string>()): Map<string, string> {
  for (const [key, part] of Object.entries(isFields(value) ? value : {})) {
    const name = path + key
    if (isFields(part)) flat(part, `${name}.`, into)
    else into.set(name, typeof part === 'string' ? part : JSON.stringify(part))
  }
  return into
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
