// Pictures that go with a message: read, and made smaller where a phone's camera gave more than a model can use.

/// With one message, and bytes of one.
export const MOST = 4;
const BYTES = 8 << 20;
/// The longer side of a picture that was made smaller, in pixels.
const SIDE = 2048;
const KINDS = ['image/png', 'image/jpeg', 'image/gif', 'image/webp'];

/// `{data (base64), mimeType, filename, preview (a URL)}`.
export async function read(file) {
  if (!file.type.startsWith('image/')) throw new Error('This is no picture.');
  let blob = file;
  if (!KINDS.includes(file.type) || file.size > BYTES / 2) blob = await smaller(file);
  if (blob.size > BYTES) throw new Error('It is larger than 8 MB.');
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Error('It cannot be read.'));
    reader.readAsDataURL(blob);
  });
  return { data: url.slice(url.indexOf(',') + 1), mimeType: blob.type, filename: file.name || 'picture', preview: url };
}

async function smaller(file) {
  const bitmap = await createImageBitmap(file).catch(() => { throw new Error('It cannot be read as a picture.'); });
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return new Promise((resolve, reject) => { canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('It cannot be made smaller.'))), 'image/jpeg', 0.85); });
}
