// What both entries use is one chunk instead of a copy in each; the minifier looks more than once. Names of the outermost
// scope stay: JupyterLab finds the entry by one of them.
const { SwcJsMinimizerRspackPlugin } = require('@rspack/core');

const compress = { passes: 4, ecma: 2022, unsafe_arrows: true, pure_getters: true, keep_fargs: false, toplevel: false };
module.exports = {
  optimization: {
    minimizer: [new SwcJsMinimizerRspackPlugin({ minimizerOptions: { ecma: 2022, compress, mangle: true, format: { comments: false, ecma: 2022 } } })],
    splitChunks: { chunks: 'async', minSize: 0, cacheGroups: { default: false, defaultVendors: false, both: { minChunks: 2, name: 'both', test: /[\\/]lib[\\/]/ } } }
  }
};
