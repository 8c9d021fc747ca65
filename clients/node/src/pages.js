/** Lists with a cursor. */

/** All entries of a list; `pageAfter` fetches one page. */
export async function* allOf(pageAfter, start) {
  for (let after = start; ;) {
    const page = await pageAfter(after);
    yield* page.data;
    if (page.next === null || page.next === after) return;
    after = page.next;
  }
}
