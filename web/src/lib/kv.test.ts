import { describe, expect, it } from 'vitest'
import { emptyForm, keyOfMessage, parse, write } from './kv'

describe('the 【key】 text', () => {
  it('is read with aliases, any case and values over several lines', () => {
    const { form, issues } = parse('http', '【URL】http://a/\n【method】POST\n【header】A: 1|||B:2\n【data】{\n "x": 1\n}')
    expect(issues).toEqual([])
    expect(form.values).toEqual({ url: 'http://a/', mode: 'POST', data: '{\n "x": 1\n}' })
    expect(form.pairs).toEqual([
      { name: 'A', value: '1' },
      { name: 'B', value: '2' },
    ])
  })

  it('is written in the documented order without empty keys', () => {
    const form = { values: { timeout: '5', url: 'http://a/', data: '  ' }, pairs: [{ name: 'A', value: 'b:c' }] }
    expect(write('http', form)).toBe('【url】http://a/\n【headers】A:b:c\n【timeout】5')
    expect(write('func', emptyForm())).toBe('')
  })

  it.each([
    ['http', '【url】https://x/?a=b|c\n【mode】PUT\n【headers】K:V|||L:\n【cookies】a=1; b=2\n【data】one\n\ntwo'],
    ['command', '【command】for i in 1 2; do\n  echo $i\ndone\n【workdir】/tmp\n【env】A=1=2|||B=\n【times】3\n【interval】0.5'],
    ['command', '【command】make\n【env】A=1\n【user】nobody\n【memory】512M\n【cpu】60\n【files】256\n【timeout】9'],
    ['func', '【name】Math\n【arg】["+", 1, 2]\n【timeout】9'],
  ] as const)('comes back the same in mode %s', (mode, text) => {
    expect(write(mode, parse(mode, text).form)).toBe(text)
  })

  it('takes the bare forms', () => {
    expect(parse('http', ' http://a/ ').form.values).toEqual({ url: 'http://a/' })
    expect(parse('command', 'echo 【通知】\necho b').form.values).toEqual({ command: 'echo 【通知】\necho b' })
    expect(parse('func', 'Math +,1,2').form.values).toEqual({ name: 'Math', arg: '+,1,2' })
    expect(parse('func', 'Test').form.values).toEqual({ name: 'Test' })
  })

  it('says what a form cannot show', () => {
    expect(parse('http', '【url】http://a/\n【urll】x').issues).toEqual([{ code: 'unknown', key: 'urll' }])
    expect(parse('http', '【url】a\n【url】b').issues).toEqual([{ code: 'twice', key: 'url' }])
    expect(parse('http', 'hello\n【url】a').issues).toEqual([{ code: 'preface', key: 'hello' }])
    expect(parse('http', '【headers】A:1\n【headers】B:2').issues).toEqual([])
    expect(parse('command', '【env】A=1\n【env】B=2').issues).toEqual([{ code: 'twice', key: 'env' }])
  })

  it('keeps a line that only looks like a key inside its value', () => {
    const text = write('http', { values: { url: 'http://a/', data: 'x\n【url】y' }, pairs: [] })
    expect(parse('http', text).form.values).toEqual({ url: 'http://a/', data: 'x\n 【url】y' })
  })

  it('finds the key of a message', () => {
    expect(keyOfMessage('http', '【method】 is wrong')).toBe('mode')
    expect(keyOfMessage('http', 'too long')).toBeNull()
  })
})
