// Instants, spans and sizes as text.

import type { Locale } from './prefs'

const TAGS: Record<Locale, string> = { zh: 'zh-CN', en: 'en-GB' }

export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return '–'
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 10_000) return `${(ms / 1_000).toFixed(2)} s`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  return countdown(ms)
}

/** `1d 2h`, `2h 05m`, `3m 20s`, `12s`: the two largest units. */
export function countdown(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1_000))
  if (s < 60) return `${s}s`
  const pad = (n: number) => String(n).padStart(2, '0')
  if (s < 3_600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`
  if (s < 86_400) return `${Math.floor(s / 3_600)}h ${pad(Math.floor(s / 60) % 60)}m`
  return `${Math.floor(s / 86_400)}d ${Math.floor(s / 3_600) % 24}h`
}

export function ago(instant: string, now: number, locale: Locale): string {
  const s = Math.round((Date.parse(instant) - now) / 1_000)
  const format = new Intl.RelativeTimeFormat(TAGS[locale], { numeric: 'auto', style: 'short' })
  const size = Math.abs(s)
  if (size < 60) return format.format(Math.min(0, s), 'second')
  if (size < 3_600) return format.format(Math.trunc(s / 60), 'minute')
  if (size < 86_400) return format.format(Math.trunc(s / 3_600), 'hour')
  return format.format(Math.trunc(s / 86_400), 'day')
}

/** `2026-01-05 08:00:00` in the reader's zone. */
export function stamp(instant: string | null | undefined, millis = false): string {
  if (!instant) return '–'
  const d = new Date(instant)
  const pad = (n: number, width = 2) => String(n).padStart(width, '0')
  const time = `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`
  return `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} ${time}${millis ? `.${pad(d.getMilliseconds(), 3)}` : ''}`
}

/** Time alone today, with the date on other days. */
export function shortStamp(instant: string, now: number): string {
  const text = stamp(instant)
  return text.slice(0, 10) === stamp(new Date(now).toISOString()).slice(0, 10) ? text.slice(11) : text.slice(5)
}

export function bytes(n: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let at = 0
  while (n >= 1_024 && at < units.length - 1) {
    n /= 1_024
    at++
  }
  return `${at === 0 ? n : n.toFixed(n < 10 ? 1 : 0)} ${units[at]}`
}

export function count(n: number, locale: Locale): string {
  return n.toLocaleString(TAGS[locale])
}
