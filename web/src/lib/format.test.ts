import { describe, expect, it } from 'vitest'
import { ago, bytes, countdown, duration } from './format'

describe('texts of spans and sizes', () => {
  it('shows the two largest units', () => {
    expect([999, 61_000, 7_500_000, 93_600_000].map(countdown)).toEqual(['1s', '1m 01s', '2h 05m', '1d 2h'])
    expect([null, 4, 1_234, 12_345, 90_000].map(duration)).toEqual(['–', '4 ms', '1.23 s', '12.3 s', '1m 30s'])
  })

  it('names sizes in binary units', () => {
    expect([0, 1_023, 1_536, 64 * 1_024 * 1_024].map(bytes)).toEqual(['0 B', '1023 B', '1.5 KiB', '64 MiB'])
  })

  it('tells how long ago', () => {
    expect(ago('2026-01-05T08:00:00.000Z', Date.parse('2026-01-05T10:30:00.000Z'), 'zh')).toBe('2小时前')
  })
})
