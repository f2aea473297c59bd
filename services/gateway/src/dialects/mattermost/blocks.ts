/**
 * Block Kit as Markdown, as far as it is text: senders that write for Slack put whole messages into blocks. Layout, styles of
 * buttons and inputs are left out. Slack's links and names in the result are converted where all texts are.
 */

type Block = Readonly<Record<string, unknown>>;

/** Levels of rich text within rich text. */
const DEPTH_MAX = 8;

/** The blocks of a message or an attachment as one text; empty where they hold none, or are no list. */
export function blocksToText(blocks: unknown): string {
  return readBlocks(blocks).map(renderBlock).filter(isFilled).join("\n\n");
}

function renderBlock(block: Block): string {
  switch (block.type) {
    case "header":
      return prefixed("#### ", renderText(block.text));
    case "divider":
      return "---";
    case "image":
      return renderImage(block);
    case "context":
      return readBlocks(block.elements).map(renderElement).filter(isFilled).join(" ");
    case "actions":
      return readBlocks(block.elements).map(renderElement).filter(isFilled).join(" ");
    case "rich_text":
      return readBlocks(block.elements)
        .map((element) => renderRich(element, 0))
        .join("\n");
    case "table":
      return readLists(block.rows).map(renderRow).join("\n");
    case "video":
      return renderLink(renderText(block.title), block.title_url ?? block.video_url);
    default:
      return renderSection(block);
  }
}

/** A section, and any block that is not known: its text, its fields one a line, and what stands beside it. */
function renderSection({ text, label, fields, accessory }: Block): string {
  const lines = [
    renderText(text ?? label),
    ...readBlocks(fields).map(renderText),
    isBlock(accessory) ? renderElement(accessory) : "",
  ];
  return lines.filter(isFilled).join("\n");
}

/** An element of a context or of actions: a text, a picture, or a button that leads somewhere. */
function renderElement(element: Block): string {
  if (element.type === "image") return renderImage(element);
  if (element.type !== "button") return renderText(element);
  return typeof element.url === "string" ? renderLink(renderText(element.text), element.url) : "";
}

/** A text object, or a plain text where Slack takes one. */
function renderText(text: unknown): string {
  if (typeof text === "string") return text;
  if (!isBlock(text) || typeof text.text !== "string") return "";
  return text.type === "mrkdwn" ? convertEmphasis(text.text) : text.text;
}

function renderImage({ image_url: url, alt_text: alt, title }: Block): string {
  const words = renderText(title) || renderText(alt);
  return typeof url === "string" ? `!${renderLink(words || "image", url)}` : words;
}

function renderRow(cells: readonly unknown[]): string {
  return cells.map((cell) => (isBlock(cell) ? renderCell(cell) : "")).join(" | ");
}

function renderCell(cell: Block): string {
  return cell.type === "rich_text" ? renderBlock(cell) : renderText(cell);
}

function renderRich(element: Block, depth: number): string {
  if (depth > DEPTH_MAX) return "";
  const inner = readBlocks(element.elements);
  switch (element.type) {
    case "rich_text_list": {
      const indent = "    ".repeat(Math.min(DEPTH_MAX, Math.max(0, Number(element.indent) || 0)));
      const mark = (at: number) => (element.style === "ordered" ? `${at + 1}. ` : "- ");
      const items = inner.map((item, at) => `${indent}${mark(at)}${renderRich(item, depth + 1)}`);
      return items.join("\n");
    }
    case "rich_text_preformatted":
      return `\`\`\`\n${inner.map(renderPlain).join("")}\n\`\`\``;
    case "rich_text_quote":
      return prefixed("> ", inner.map(renderInline).join("").replaceAll("\n", "\n> "));
    default:
      return inner.map(renderInline).join("");
  }
}

function renderPlain({ type, text, url }: Block): string {
  if (typeof text === "string") return text;
  return type === "link" && typeof url === "string" ? url : "";
}

function renderInline(element: Block): string {
  const { type, text, url, name, range, fallback, style } = element;
  switch (type) {
    case "link":
      return typeof text === "string" && text !== "" ? renderLink(text, url) : String(url ?? "");
    case "emoji":
      return typeof name === "string" ? `:${name}:` : "";
    case "user":
      return typeof element.user_id === "string" ? `<@${element.user_id}>` : "";
    case "channel":
      return typeof element.channel_id === "string" ? `<#${element.channel_id}>` : "";
    case "broadcast":
      return typeof range === "string" ? `@${range}` : "";
    case "date":
      return typeof fallback === "string" ? fallback : "";
    default:
      return typeof text === "string" ? styled(text, isBlock(style) ? style : {}) : "";
  }
}

/** Marks stand next to letters, never next to blanks, where they would be no marks. */
function styled(text: string, { bold, italic, strike, code }: Block): string {
  const core = text.trim();
  if (core === "") return text;
  const start = text.length - text.trimStart().length;
  const [before, after] = [text.slice(0, start), text.slice(start + core.length)];
  if (code) return `${before}\`${core}\`${after}`;
  const open = [bold ? "**" : "", italic ? "_" : "", strike ? "~~" : ""];
  return `${before}${open.join("")}${core}${open.reverse().join("")}${after}`;
}

/** Slack's bold and strike as Markdown has them, outside code spans. */
function convertEmphasis(text: string): string {
  return text
    .split("`")
    .map((part, at) => (at % 2 === 1 ? part : convertMarks(part)))
    .join("`");
}

function convertMarks(text: string): string {
  return text
    .replace(/(?<![\w*])\*([^*\n]+)\*(?![\w*])/g, "**$1**")
    .replace(/(?<![\w~])~([^~\n]+)~(?![\w~])/g, "~~$1~~");
}

function renderLink(text: string, url: unknown): string {
  return typeof url === "string" && url !== "" ? `[${text}](${url})` : text;
}

function prefixed(prefix: string, text: string): string {
  return text === "" ? "" : prefix + text;
}

function readBlocks(value: unknown): Block[] {
  return Array.isArray(value) ? value.filter(isBlock) : [];
}

function readLists(value: unknown): (readonly unknown[])[] {
  return Array.isArray(value) ? value.filter((item) => Array.isArray(item)) : [];
}

function isBlock(value: unknown): value is Block {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isFilled(text: string): boolean {
  return text.trim() !== "";
}
