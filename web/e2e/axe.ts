// Nobody is kept out: WCAG AA as axe sees it.
import { AxeBuilder } from '@axe-core/playwright'
import type { Page } from '@playwright/test'

/** What of the page somebody could not use, one line a rule. */
export async function barriers(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']).analyze()
  const serious = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical')
  return serious.map((v) => `${v.id}: ${v.nodes.map((n) => n.target.join(' ')).join(', ')}`)
}
