// What a generated dashboard has to be: Grafana's own types of dashboards, panels and fields, and no key beside them.

import type { AnnotationQuery, Dashboard, DataSourceRef, FieldConfigSource, RowPanel } from '@grafana/schema';
import type * as barGauge from '@grafana/schema/dist/types/raw/composable/bargauge/panelcfg/x/types.gen';
import type * as heatmap from '@grafana/schema/dist/types/raw/composable/heatmap/panelcfg/x/types.gen';
import type * as stat from '@grafana/schema/dist/types/raw/composable/stat/panelcfg/x/types.gen';
import type * as table from '@grafana/schema/dist/types/raw/composable/table/panelcfg/x/types.gen';
import type * as text from '@grafana/schema/dist/types/raw/composable/text/panelcfg/x/types.gen';
import type * as timeSeries from '@grafana/schema/dist/types/raw/composable/timeseries/panelcfg/x/types.gen';
import type { AnnotationTarget, Panel as SchemaPanel } from '@grafana/schema/dist/types/raw/dashboard/x/types.gen';

/** T as JSON has it: the values of an enumeration, not its members. */
type Json<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends Array<infer Item>
      ? Json<Item>[]
      : unknown extends T
        ? unknown
        : { [Key in keyof T]: Json<T[Key]> };

/** What Grafana's Prometheus asks; its types are not in @grafana/schema. */
interface Target {
  datasource: DataSourceRef;
  editorMode: 'code';
  exemplar?: boolean;
  expr: string;
  format?: 'table' | 'heatmap';
  instant: boolean;
  legendFormat: string;
  range: boolean;
  refId: string;
}

type Of<Type extends string, Options, Field = Record<string, never>> = Omit<
  Json<SchemaPanel>,
  'type' | 'options' | 'fieldConfig' | 'targets'
> & {
  type: Type;
  id: number;
  title: string;
  options?: Json<Partial<Options>>;
  fieldConfig?: Json<FieldConfigSource<Field>>;
  targets?: Target[];
};

type Panel =
  | Of<'timeseries', timeSeries.Options, timeSeries.FieldConfig>
  | Of<'stat', stat.Options>
  | Of<'bargauge', barGauge.Options>
  | Of<'table', table.Options, table.FieldConfig>
  | Of<'heatmap', heatmap.Options, heatmap.FieldConfig>
  | Of<'text', text.Options>;

/** What Grafana's Prometheus reads of an annotation, beside the schema's. */
interface PrometheusAnnotation {
  expr: string;
  step: string;
  titleFormat: string;
  textFormat: string;
}

/** What was told by the API: the package's own `target` is any data source's question, the one generated from is this. */
type ToldAnnotation = Omit<Json<AnnotationQuery>, 'target'> & { target: Json<AnnotationTarget> };

export type Checked = Omit<Json<Dashboard>, 'panels' | 'annotations'> & {
  uid: string;
  title: string;
  panels: Array<Panel | Json<RowPanel>>;
  annotations: { list: Array<(Json<AnnotationQuery> & PrometheusAnnotation) | ToldAnnotation> };
};
