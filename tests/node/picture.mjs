// What a PNG shows, decoded in a page of its own: {width, height, colours, counts: {colour: pixels}, most: share of the most
// frequent colour, light: mean luminance 0..1}.
export async function pictureOf(browser, png) {
  const page = await browser.newPage();
  try {
    return await page.evaluate(async (base64) => {
      const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
      const bitmap = await createImageBitmap(new Blob([bytes], { type: 'image/png' }));
      const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
      context.drawImage(bitmap, 0, 0);
      const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
      const counts = new Map();
      let light = 0;
      for (let i = 0; i < data.length; i += 4) {
        const colour = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
        counts.set(colour, (counts.get(colour) ?? 0) + 1);
        light += 0.2126 * data[i] + 0.7152 * data[i + 1] + 0.0722 * data[i + 2];
      }
      const pixels = data.length / 4;
      return { width: bitmap.width, height: bitmap.height, colours: counts.size, most: Math.max(...counts.values()) / pixels, light: light / pixels / 255, counts: Object.fromEntries(counts) };
    }, png.toString('base64'));
  } finally {
    await page.close();
  }
}
