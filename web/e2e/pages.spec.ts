// Every page, in both themes and at a phone's width: nobody is kept out (WCAG AA as axe sees it), nothing
// is cut off, nothing is asked of anybody but this server.
import { addJob, ranJob } from './api'
import { barriers } from './axe'
import { expect, test, type Page } from './base'
import type { Server } from './server'

const LONG = 'a-very-long-name-without-any-space-in-it-that-a-narrow-page-has-to-break-somewhere-0123456789'

let filled: { job: number; run: number | string } | null = null
async function fill(server: Server) {
  if (filled) return filled
  const job = await addJob(server, LONG, { description: `${LONG} ${LONG}`, command: `【command】echo ${LONG}${LONG}${LONG}; echo "table    with   columns" >&2; exit 2` })
  const run = await ranJob(server, job.id)
  const other = await addJob(server, 'an http job', { mode: 'http', command: `【url】${server.url}/health`, trigger: { type: 'interval', seconds: 600 } })
  await ranJob(server, other.id)
  filled = { job: job.id, run }
  return filled
}
const PAGES = (at: { job: number; run: number | string }) => ({
  overview: '/',
  jobs: '/jobs',
  job: `/jobs/${at.job}`,
  'new job': '/jobs/new',
  'edit job': `/jobs/${at.job}/edit`,
  runs: '/runs',
  run: `/runs/${at.run}`,
  functions: '/functions',
  logs: '/logs',
  settings: '/settings',
  secrets: '/settings/secrets',
  audit: '/settings/audit',
  account: '/account',
  nowhere: '/no/such/page',
})

async function settled(page: Page) {
  await expect(page.locator('main h1, main h2').first()).toBeVisible()
  await expect(page.locator('.skeleton')).toHaveCount(0)
}
const look = (page: Page, theme: string, locale: string) =>
  page.addInitScript(([t, l]) => {
    localStorage.setItem('tj.theme', t)
    localStorage.setItem('tj.locale', l)
  }, [theme, locale] as const)

for (const theme of ['light', 'dark']) {
  test(`pages can be used by everybody, ${theme}`, async ({ page, server }) => {
    test.slow()
    const at = await fill(server)
    await look(page, theme, theme === 'light' ? 'en' : 'zh')
    for (const [name, path] of Object.entries(PAGES(at))) {
      await page.goto(`/#${path}`)
      await settled(page)
      await expect(page.locator('html')).toHaveAttribute('data-theme', theme)
      expect(await barriers(page), name).toEqual([])
    }
  })
}

for (const locale of ['en', 'zh']) {
  test(`pages fit a phone, ${locale}`, async ({ page, server }) => {
    const at = await fill(server)
    await page.setViewportSize({ width: 390, height: 844 })
    await look(page, 'light', locale)
    for (const [name, path] of Object.entries(PAGES(at))) {
      await page.goto(`/#${path}`)
      await settled(page)
      const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
      expect.soft(beyond, `${name} scrolls sideways`).toBeLessThanOrEqual(0)
      // What can be pressed is large enough for a finger.
      const small = await page.evaluate(() =>
        [...document.querySelectorAll('.tabbar a, .pagehead .btn, .topbar .btn')].filter((el) => el.checkVisibility()).map((el) => el.getBoundingClientRect()).filter((r) => r.height < 36 || r.width < 36).length,
      )
      expect.soft(small, `${name} has small buttons`).toBe(0)
    }
  })
}

test('the menu of a phone leads everywhere', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 })
  await page.goto('/')
  const menu = page.locator('.tabbar')
  for (const [name, address] of [['Jobs', /#\/jobs$/], ['Runs', /#\/runs$/], ['Functions', /#\/functions$/], ['Logs', /#\/logs$/], ['Settings', /#\/settings$/], ['Overview', /#\/$/]] as const) {
    await menu.getByRole('link', { name }).click()
    await expect(page).toHaveURL(address)
    await expect(menu.getByRole('link', { name })).toHaveAttribute('aria-current', 'page')
  }
})
