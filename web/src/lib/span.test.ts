import { expect, it } from 'vitest'
import { rangeOf } from './span'

it('a span becomes instants', () => {
  const now = Date.parse('2026-01-05T08:00:00Z')
  expect(rangeOf({ span: '24h', from: '', to: '' }, now)).toEqual({ from: '2026-01-04T08:00:00.000Z' })
  expect(rangeOf({ span: '', from: '2026-01-01T00:00', to: '' }, now)).toEqual({})
  expect(rangeOf({ span: 'custom', from: '2026-01-01T00:00:00Z', to: '' }, now)).toEqual({ from: '2026-01-01T00:00:00.000Z' })
})

it('what an address brings that is no instant is left out', () => {
  expect(rangeOf({ span: 'custom', from: 'soon', to: '2026-99-99' }, 0)).toEqual({})
  expect(rangeOf({ span: 'constructor', from: '', to: '' }, 0)).toEqual({})
})
