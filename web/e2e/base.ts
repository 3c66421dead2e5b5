// The test that every file uses: a server for the worker, and a page on it that fails the test when it did
// what the console must never do: run foreign text as script, break the policy, ask another origin, throw.
import { test as plain, expect, type Page } from '@playwright/test'
import { startServer, type Server } from './server'

export { expect, type Page }

interface Watch {
  /** Answers of the server that a test expects to be errors; the browser logs each of them. */
  allowStatus: (...status: number[]) => void
  /** The test takes the server away. */
  allowNetworkErrors: () => void
  /** Another server that the test has started. */
  allowOrigin: (url: string) => void
}

export const test = plain.extend<{ watch: Watch }, { server: Server }>({
  server: [
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const server = await startServer()
      await use(server)
      await server.stop()
    },
    { scope: 'worker' },
  ],
  baseURL: async ({ server }, use) => use(server.url),
  watch: [
    async ({ page, server }, use) => {
      const wrong: string[] = []
      const allowed = new Set<number>()
      let networkErrors = false
      const origins = new Set([new URL(server.url).origin])
      page.on('dialog', (dialog) => {
        // Leaving an editor with changes asks; a script that got in would alert.
        if (dialog.type() !== 'beforeunload') wrong.push(`dialog: ${dialog.message()}`)
        void dialog.accept()
      })
      page.on('pageerror', (error) => {
        if (networkErrors && /dynamically imported module/.test(error.message)) return
        wrong.push(`thrown: ${error.stack ?? error.message}`)
      })
      page.on('console', (message) => {
        if (message.type() !== 'error') return
        const text = message.text()
        const status = /status of (\d+)/.exec(text)
        if (status && allowed.has(Number(status[1]))) return
        if (networkErrors && /net::ERR_|Refused to apply style/.test(text)) return
        wrong.push(`console: ${text} ${message.location().url}`)
      })
      page.on('request', (request) => {
        const url = request.url()
        if (!origins.has(new URL(url).origin)) wrong.push(`request: ${url}`)
      })
      await use({
        allowStatus: (...status) => status.forEach((s) => allowed.add(s)),
        allowNetworkErrors: () => (networkErrors = true),
        allowOrigin: (url) => origins.add(new URL(url).origin),
      })
      const touched = await page.evaluate(() => (window as { pwned?: unknown }).pwned).catch(() => undefined)
      expect(touched, 'a script from data ran').toBeUndefined()
      expect(wrong).toEqual([])
    },
    { auto: true },
  ],
})
