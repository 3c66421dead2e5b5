import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import en from './en'
import zh from './zh'

type Tree = { [key: string]: string | Tree }

const leaves = (tree: Tree, prefix = ''): [string, string][] =>
  Object.entries(tree).flatMap(([key, value]) => (typeof value === 'string' ? [[prefix + key, value] as [string, string]] : leaves(value, `${prefix}${key}.`)))

const chinese = new Map(leaves(zh))
const english = new Map(leaves(en))

describe('the texts', () => {
  it('have equal keys in both languages', () => {
    expect([...english.keys()].sort()).toEqual([...chinese.keys()].sort())
  })

  it('have equal placeholders and none of the marks that vue-i18n reads', () => {
    const names = (text = '') => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort()
    for (const [key, text] of chinese) {
      expect(names(english.get(key)), key).toEqual(names(text))
      expect(text + english.get(key), key).not.toMatch(/[@|]/)
    }
  })

  it('hold every key that a source names', () => {
    const root = new URL('..', import.meta.url).pathname
    const sources = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((f) => /\.(vue|ts)$/.test(f) && !f.endsWith('.test.ts'))
    const missing: string[] = []
    for (const file of sources) {
      for (const [, key = ''] of readFileSync(root + file, 'utf8').matchAll(/\bt\('([\w.]+)'/g)) {
        if (!english.has(key)) missing.push(`${file}: ${key}`)
      }
    }
    expect(missing).toEqual([])
  })
})
