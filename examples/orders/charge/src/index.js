const PRICES = { lamp: 30, chair: 80 };

class UnknownProduct extends Error {
  name = "UnknownProduct";
}

exports.handler = async ({ data }) => {
  if (!(data.product in PRICES)) {
    throw new UnknownProduct(`there is no ${data.product}`);
  }
  return { charged: PRICES[data.product] };
};
