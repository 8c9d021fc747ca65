// Reads codes in the browser, so that a picture need not leave the device.
const SIDE_MAX = 2_500;
const QUALITY = 0.9;
const CODES_MAX = 8;
const SERVER_FORMATS = ["image/png", "image/jpeg", "image/gif", "image/webp"];

async function detector() {
  if (!("BarcodeDetector" in window)) return null;
  try {
    const formats = await window.BarcodeDetector.getSupportedFormats();
    return formats.includes("qr_code")
      ? new window.BarcodeDetector({ formats: ["qr_code"] })
      : null;
  } catch {
    return null;
  }
}

const ready = detector();

/** Whether this browser can read QR codes. */
export async function canReadHere() {
  return (await ready) !== null;
}

/** The texts of the codes in a picture or a video frame; empty if the browser cannot read them. */
export async function textsIn(source) {
  const reader = await ready;
  if (reader === null) return [];
  try {
    const image = source instanceof Blob ? await createImageBitmap(source) : source;
    const codes = await reader.detect(image);
    if (source instanceof Blob) image.close();
    return [...new Set(codes.map((code) => code.rawValue).filter(Boolean))].slice(0, CODES_MAX);
  } catch {
    return [];
  }
}

/**
 * The picture in a form that the server accepts: encoded anew if it is over `bytesMax` or in another
 * format that this browser shows (HEIC, AVIF), and unchanged if that fails.
 */
export async function asServerFormat(picture, bytesMax) {
  if (picture.size <= bytesMax && SERVER_FORMATS.includes(picture.type)) return picture;
  try {
    const image = await createImageBitmap(picture);
    const scale = Math.min(1, SIDE_MAX / Math.max(image.width, image.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(image.width * scale);
    canvas.height = Math.round(image.height * scale);
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    image.close();
    const jpeg = await new Promise((resolve) => {
      canvas.toBlob(resolve, "image/jpeg", QUALITY);
    });
    return jpeg ?? picture;
  } catch {
    return picture;
  }
}
