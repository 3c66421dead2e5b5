// The pictures of the READMEs, docs/images/*.png: a server with a day of history (seed.py), each page once.
// They are reduced to a palette where pngquant is at hand.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test, type Page } from '@playwright/test'
import { addJob, ask, runJob } from './api'
import { startServer, type Server } from './server'

const IMAGES = fileURLToPath(new URL('../../docs/images', import.meta.url))
const cron = (expression: string, timezone: string | null = null) => ({ type: 'cron', cron: expression, timezone })

async function fill(server: Server): Promise<{ backup: number }> {
  const own = `【url】${server.url}/health\n【mode】GET\n【headers】X-Source:timerjobs\n【result】ok`
  const add = (name: string, trigger: unknown, mode: string, command: string, description = '', more = {}) => addJob(server, name, { trigger, mode, command, description, ...more })
  for (let n = 1; n <= 12; n++) await add(`shard ${String(n).padStart(2, '0')} compaction`, cron(`0 ${(n * 7) % 60} */${[2, 3, 6][n % 3]} * * *`), 'command', `【command】compact --shard ${n}\n【timeout】900`, 'Merges small segments', { enabled: n !== 9 })
  await add('Certificate renewal', cron('0 17 4 * * SUN'), 'command', '【command】certbot renew --quiet && systemctl reload nginx', 'Renews what expires within 30 days')
  await add('短信余额检查', cron('0 0 9 * * *', 'Asia/Shanghai'), 'func', '【name】sms_balance\n【arg】100', '低于 100 条时告警')
  await add('Exchange rates', cron('0 5 * * * *'), 'http', own, 'ECB reference rates')
  await add('Search index refresh', cron('0 */15 * * * *'), 'http', own)
  await add('每日销售报表', cron('0 0 8 * * MON-FRI', 'Asia/Shanghai'), 'func', '【name】Report\n【arg】daily,zh', '发给销售组，周末不发')
  await add('Disk alarm', cron('0 */30 * * * *'), 'func', '【name】Monitor\n【arg】disk,/,98', 'Fails above 98 %')
  await add('库存同步', cron('0 */5 * * * *'), 'http', own, '从 ERP 拉取库存并推送到三个渠道')
  await add('API health check', cron('0 */2 * * * *'), 'http', own, 'Public API, fails when the body is not ok')
  await add('Heartbeat', { type: 'interval', seconds: 45 }, 'http', own, 'Tells the pager that we live')
  const backup = await add('Nightly backup', cron('0 0 3 * * *', 'Europe/Berlin'), 'command', `【command】${BACKUP}\n【workdir】/tmp\n【env】TARGET=s3:backup/shop|||LEVEL=19\n【timeout】3600`, 'Dumps, packs and ships the shop database', { overlap: 'skip' })
  await add('订单对账', cron('0 30 2 * * *', 'Asia/Shanghai'), 'command', '【command】python3 /srv/shop/reconcile.py --day yesterday', '核对昨日支付流水与订单，差异写入告警群')
  mkdirSync(join(server.folder, 'user_funcs'), { recursive: true })
  writeFileSync(join(server.folder, 'user_funcs', 'alerts.py'), ALERTS)
  writeFileSync(join(server.folder, 'user_funcs', 'draft.py'), 'def report(day)\n    return day\n')
  return { backup: backup.id }
}
const BACKUP = String.raw`e=$(printf '\033')
echo "$e[36m==>$e[0m $e[1mdumping shop$e[0m"
for t in "customers        48,210" "orders        1,204,332" "order_items   5,881,040"; do sleep 0.4; echo "  $e[32m✓$e[0m $t rows"; done
echo "  $e[33m! payments      982,114 rows (slow: 3.2 s)$e[0m"
sleep 0.4; echo "$e[36m==>$e[0m $e[1mpacking with zstd -$LEVEL$e[0m"
for p in 20 40 60 80 100; do sleep 0.3; printf "\r  [%-20s] %s %%" "$(printf '#%.0s' $(seq $((p / 5))))" $p; done; echo
echo "  3.1 GiB -> 412 MiB"
echo "certificate of s3 expires in 12 days" >&2
echo "$e[36m==>$e[0m $e[1muploading to $TARGET$e[0m"
for p in 1 2 3 4 5 6; do sleep 1.2; echo "  part $p/24 $e[2m$(date +%T)$e[0m"; done; sleep 30`
const ALERTS = `import random


def sms_balance(limit=100):
    """Asks the gateway for the balance.

    Fails below the limit, so that somebody buys more in time.
    """
    left = random.randint(800, 900)  # what the gateway says
    print("left:", left)
    if left < float(limit):
        raise RuntimeError(f"only {left} left")
    return left
`

async function open(page: Page, server: Server, path: string, theme: 'light' | 'dark', locale: 'en' | 'zh') {
  await page.goto(`${server.url}/favicon.svg`)
  await page.evaluate(([t, l]) => { localStorage.setItem('tj.theme', t); localStorage.setItem('tj.locale', l) }, [theme, locale] as const)
  await page.goto(`${server.url}/#${path}`)
  await page.reload()
  await expect(page.locator('main h1')).toBeVisible()
  await expect(page.locator('.skeleton')).toHaveCount(0)
  await page.evaluate(() => document.fonts.ready)
  await page.waitForTimeout(700)
}
async function shoot(page: Page, name: string) {
  await page.mouse.move(0, 0)
  const file = join(IMAGES, `${name}.png`)
  await page.screenshot({ path: file })
  try {
    execFileSync('pngquant', ['--force', '--ext', '.png', '--quality', '70-95', '--speed', '1', '--strip', file])
  } catch {
    console.log(`${name}: as large as it is, pngquant is missing`)
  }
}

test('pictures', async ({ page, browser }) => {
  mkdirSync(IMAGES, { recursive: true })
  const first = await startServer()
  const { backup } = await fill(first)
  const server = await first.restart(async () => {
    execFileSync('python3', [fileURLToPath(new URL('seed.py', import.meta.url)), join(first.folder, 'data/timerjobs.db')])
  })
  await ask(server, 'POST', '/functions/reload')

  const live = await runJob(server, backup)
  for (const [name, locale] of [['run', 'en'], ['run.zh', 'zh']] as const) {
    await open(page, server, `/runs/${live}`, 'dark', locale)
    await expect(page.getByRole('log')).toContainText('part 3/24')
    await shoot(page, name)
  }
  for (const [name, locale] of [['overview', 'en'], ['overview.zh', 'zh']] as const) {
    await open(page, server, '/', 'light', locale)
    await shoot(page, name)
  }
  // The other half of the page.
  await open(page, server, '/', 'dark', 'en')
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight))
  await page.waitForTimeout(300)
  await shoot(page, 'overview-dark')
  await open(page, server, '/jobs', 'light', 'en')
  await shoot(page, 'jobs')
  const { items } = await ask<{ items: { id: number }[] }>(server, 'GET', '/jobs?q=Search+index')
  await open(page, server, `/jobs/${items[0]?.id}`, 'light', 'en')
  await shoot(page, 'job')
  for (const [name, locale, text] of [['editor', 'en', 'Test run'], ['editor.zh', 'zh', '试运行']] as const) {
    await open(page, server, `/jobs/${items[0]?.id}/edit`, 'light', locale)
    await page.getByRole('button', { name: text }).click()
    await expect(page.locator('.output .badge.ok')).toBeVisible()
    await page.evaluate(() => scrollTo(0, 330))
    await page.waitForTimeout(400)
    await shoot(page, name)
  }
  await open(page, server, '/runs', 'dark', 'en')
  await shoot(page, 'runs')
  await open(page, server, '/functions', 'light', 'en')
  await page.getByRole('button', { name: /^sms_balance/ }).click()
  await page.waitForTimeout(400)
  await shoot(page, 'functions')
  await open(page, server, '/logs', 'dark', 'en')
  await shoot(page, 'logs')
  await open(page, server, '/settings', 'light', 'en')
  await shoot(page, 'settings')

  const phone = await browser.newPage({ viewport: { width: 390, height: 800 }, deviceScaleFactor: 1.5, isMobile: true, hasTouch: true, locale: 'en-US' })
  await open(phone, server, '/', 'light', 'en')
  await shoot(phone, 'phone')
  await open(phone, server, '/jobs', 'dark', 'en')
  await shoot(phone, 'phone-jobs')
  await server.stop()
})
