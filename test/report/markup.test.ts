import { expect } from 'chai';
import fc from 'fast-check';
import { embeddableJson, html, verbatim } from '../../lib/report/markup';

describe('html markup', () => {
  it('escapes inserted text and keeps inserted markup', () => {
    const name = `<b a="1" b='2'>&`;
    expect(html`<td title="${name}">${name}${7}</td>`.markup).to.equal(
      '<td title="&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;">&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;7</td>',
    );
    expect(html`<ul>${['<', '>'].map((text) => html`<li>${text}</li>`)}${verbatim('<hr>')}</ul>`.markup).to.equal(
      '<ul><li>&lt;</li><li>&gt;</li><hr></ul>',
    );
  });

  it('embeds any JSON value without a character that could end the script element', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = embeddableJson(value);
        expect(text).to.not.match(/[<\u2028\u2029]/);
        expect(JSON.parse(text)).to.deep.equal(JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(embeddableJson('</script>\u2028')).to.equal('"\\u003c/script>\\u2028"');
  });
});
