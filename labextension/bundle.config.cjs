// What both entries use is one chunk instead of a copy in each.
module.exports = {
  optimization: {
    splitChunks: { chunks: 'async', minSize: 0, cacheGroups: { default: false, defaultVendors: false, both: { minChunks: 2, name: 'both', test: /[\\/]lib[\\/]/ } } }
  }
};
