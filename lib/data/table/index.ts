export { type BadRow, type BadRows, describeBadRows } from './bad-rows';
export { TableChunk, tableChunk } from './chunk';
export type { Column, ColumnType, ColumnValues } from './columns';
export { openTable, type Table, type TableOptions } from './table';
