import type { Field, Fields } from '../../src/config/fields.js';
import { definitionFields, poolFields } from '../../src/config/options.js';

export type AnyField = Field<unknown>;

/** Each option of a definition and of a pool by its path, such as `health.interval`; those of `defaults` are those of a definition. */
export function catalog(): Map<string, AnyField> {
  const all = new Map<string, AnyField>();
  const add = (fields: Fields, prefix: string) => {
    for (const [name, field] of Object.entries(fields)) {
      const path = prefix + name;
      all.set(path, field);
      if (field.fieldsOf === 'object' && path !== 'defaults') add(field.fields ?? {}, `${path}.`);
      if (field.fieldsOf === 'items') add(field.fields ?? {}, `${path}[].`);
      if (field.fieldsOf === 'values') add(field.fields ?? {}, `${path}.*.`);
    }
  };
  add(poolFields, '');
  add(definitionFields, '');
  return all;
}
