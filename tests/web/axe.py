"""axe-core in a page: what stands in the way of people who do not see it, or use no mouse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.async_api import Page

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
BAD = {"serious", "critical"}


async def findings(page: Page, *rules: str) -> list[str]:
    """What is serious or critical, a line each: rule, where, why.

    Args:
        page: as it is now.
        rules: only these; all of them if none is named.
    """
    # Evaluated by the browser's debugger: the Content-Security-Policy is not asked.
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = rules
    found: dict[str, Any] = await page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{violation['id']}: {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for violation in found["violations"]
        if violation["impact"] in BAD
        for node in violation["nodes"]
    ]
