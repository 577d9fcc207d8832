/// The style sheet of a page.
enum ReportStyle {
  static let sheet: Markup.Constant =
    ":root{" + ReportPalette.light.variables + "}\n@media (prefers-color-scheme:dark){:root{"
    + ReportPalette.dark.variables + "}}\n@media print{:root{" + ReportPalette.light.variables + "}}\n" + rules

  private static let rules: Markup.Constant = #"""
    *{box-sizing:border-box}
    html{scroll-behavior:smooth}
    body{margin:0 auto;max-width:1180px;padding:16px;background:var(--page);color:var(--ink);
    font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
    h1{font-size:1.6rem;margin:.2em 0}
    h2{font-size:1.25rem;margin:2.2rem 0 .6rem;padding-bottom:.2rem;border-bottom:1px solid var(--line)}
    h3{font-size:1.02rem;margin:0 0 .3rem}
    p+h3,.wide+h3{margin-top:1.3rem}
    p{margin:.4rem 0}
    a{color:var(--link)}
    code,table{font:13px/1.45 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
    :focus-visible{outline:3px solid var(--link);outline-offset:2px}
    .quiet{color:var(--quiet)}
    .sign{font-weight:650;white-space:nowrap}
    .critical .sign,.sign.critical,a.critical{color:var(--critical)}
    .warning .sign,.sign.warning,a.warning{color:var(--warning)}
    .info .sign,.sign.info,a.info{color:var(--info)}
    .good,.good .sign{color:var(--good)}
    .verdict,.hidden{padding:.6rem .9rem;border-radius:8px;background:var(--card);border:1px solid var(--line)}
    .verdict{font-size:1.08rem;color:var(--ink);border-left:6px solid var(--good)}
    .verdict.critical{background:var(--criticalFill);border-left-color:var(--critical)}
    .verdict.warning{background:var(--warningFill);border-left-color:var(--warning)}
    .verdict.info{background:var(--infoFill);border-left-color:var(--info)}
    nav{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:.8rem 0}
    .card{background:var(--card);border:1px solid var(--line);border-left:6px solid var(--info);border-radius:8px;
    padding:.8rem 1rem;margin:.7rem 0;break-inside:avoid}
    .card.critical{border-left-color:var(--critical)}
    .card.warning{border-left-color:var(--warning)}
    .card.effect{margin-left:clamp(.6rem,3vw,2rem)}
    .card:target{outline:2px solid var(--link)}
    .sentence{font-size:1.03rem}
    .since{margin-bottom:0}
    dl{display:grid;grid-template-columns:minmax(6.5rem,max-content) 1fr;gap:.15rem .9rem;margin:.5rem 0}
    dt{color:var(--quiet);max-width:15rem}
    dd{margin:0;min-width:0}
    summary{cursor:pointer;color:var(--link);width:fit-content}
    svg{display:block}
    .bar{width:100%;height:12px;border-radius:3px;overflow:hidden}
    .time{width:100%;height:38px;overflow:visible}
    .course{width:100%;max-width:420px;height:auto}
    .course path{fill:none;stroke:var(--one);stroke-width:2}
    th[scope=row]{font-weight:400;white-space:normal;min-width:9rem}
    .track{fill:var(--line)}
    .one{fill:var(--one)}.two{fill:var(--two)}.three{fill:var(--three)}
    rect.critical{fill:var(--critical);stroke:var(--critical)}
    rect.warning{fill:var(--warning);stroke:var(--warning)}
    rect.info{fill:var(--info);stroke:var(--info)}
    rect.plain{fill:var(--one);stroke:var(--one)}
    .bar rect{stroke:none}
    rect.maybe{fill-opacity:.16;stroke-dasharray:4 3}
    .mark{stroke:var(--line)}
    .tick{fill:var(--quiet);font-size:11px}
    .in{fill:var(--card);stroke:var(--ink);stroke-width:2}
    .out{fill:var(--ink)}
    .row{margin:.55rem 0 .8rem;break-inside:avoid}
    .row p{margin:.1rem 0 .25rem}
    .legend{display:flex;flex-wrap:wrap;align-items:center;gap:.3rem .5rem}
    .legend span{margin-right:1rem}
    .key{width:1.1rem;height:.8rem}
    .life{width:100%;max-width:640px;height:auto;margin:.5rem 0}
    .life text{fill:var(--ink);font-size:13px}
    .life .event{fill:var(--quiet);font-size:12px}
    .life .name{font-weight:600;font-size:13px}
    .life .count{font-size:15px;font-weight:700}
    .arrow{fill:none;stroke:var(--quiet);stroke-width:1.3}
    .tip{fill:var(--quiet)}
    .state rect{fill:var(--card);stroke:var(--line);stroke-width:1.5}
    .state.some rect{stroke:var(--one)}
    .state.none .count{fill:var(--quiet);font-weight:400}
    .state.critical rect{fill:var(--criticalFill);stroke:var(--critical);stroke-width:3}
    .state.warning rect{fill:var(--warningFill);stroke:var(--warning);stroke-width:2.5}
    .state.info rect{fill:var(--infoFill);stroke:var(--info);stroke-width:2}
    .life .critical .sign{fill:var(--critical)}
    .life .warning .sign{fill:var(--warning)}
    .life .info .sign{fill:var(--info)}
    .wide{overflow-x:auto;max-width:100%}
    #tools{display:flex;flex-wrap:wrap;gap:.5rem;align-items:center}
    #tools[hidden]{display:none}
    input{flex:1 1 14rem;max-width:36rem;min-width:0;font:inherit;padding:.4rem .6rem;color:var(--ink);
    background:var(--card);border:1px solid var(--quiet);border-radius:6px}
    input::placeholder{color:var(--quiet);opacity:1}
    button{font:inherit;color:var(--link);background:var(--card);border:1px solid var(--quiet);border-radius:6px;
    padding:.3rem .8rem;cursor:pointer}
    th button{border:0;padding:0;background:none;font-weight:600;text-align:left}
    table{border-collapse:collapse;width:100%;background:var(--card)}
    th,td{text-align:left;padding:.22rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap;
    vertical-align:top}
    #rows td:nth-child(7),#rows td:nth-child(8){text-align:right}
    #rows td:nth-child(9){white-space:normal;min-width:12rem}
    td a{white-space:nowrap}
    @media (max-width:640px){body{padding:10px}dl{grid-template-columns:1fr}dt{margin-top:.3rem}
    table{font-size:12px}}
    @media print{nav,#tools,button,summary{display:none}body{max-width:none;font-size:11px;padding:0}
    details::details-content{content-visibility:visible;height:auto;display:block}.wide{overflow:visible}
    th button{display:inline;color:inherit}
    table{font-size:8px}td,th{white-space:normal;padding:1px 4px}
    #rows td:nth-child(9){min-width:0}}
    """#
}
